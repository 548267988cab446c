"""What the name of a figure's file says: `fig07_landscape_Hopper-v4_ppo_agent1_N2000`."""

import re
from dataclasses import dataclass

from dpg.runtime.ids import file_name
from dpg.runtime.schema import Params

_REST = r"(?:_(?P<rest>(?:agent|N)\d+(?:_N\d+)?))?"


@dataclass(frozen=True)
class Named:
    """A figure's number and words, and the task and algorithm that it is of; one that names none is of all."""

    words: str
    env: str | None
    algorithm: str | None
    rest: str

    @property
    def title(self) -> str:
        """In words: figure 7, landscape, Hopper-v4 ppo agent1."""
        number, _, words = self.words.partition("_")
        figure = f"Figure {number[3:].lstrip('0')}" if number.startswith("fig") else "Section 2.2"
        cell = " ".join(part for part in (self.env, self.algorithm, self.rest.replace("_", " ")) if part)
        return f"{figure}: {words.replace('_', ' ')}" + (f", {cell}" if cell else "")


def parse(name: str, params: Params) -> Named:
    """Read a name, of the experiment's tasks."""
    # The longest first: one algorithm's name may begin as another's.
    algorithms = "|".join(sorted(params.blocks, key=len, reverse=True))
    after_task = rf"(?:_(?P<algorithm>{algorithms}){_REST})?"
    # The longest first: one task's name may end with another's.
    for env in sorted(params.envs, key=len, reverse=True):
        if found := re.fullmatch(rf"(?P<words>.+?)_{re.escape(file_name(env))}{after_task}", name):
            return Named(found["words"], env, found["algorithm"], found["rest"] or "")
    return Named(name, None, None, "")
