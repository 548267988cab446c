"""What the name of a figure's file says: `fig07_landscape_Hopper-v4_ppo_agent1`."""

from dataclasses import dataclass
from typing import get_args

from dpg.runtime.schema import AlgorithmName, Params

_LONGEST_FIRST = sorted(get_args(AlgorithmName), key=len, reverse=True)


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
    env = next((env for env in params.envs if f"_{env}" in name), None)
    if env is None:
        return Named(name, None, None, "")
    words, _, after = name.partition(f"_{env}")
    algorithm = next((each for each in _LONGEST_FIRST if f"{after}_".startswith(f"_{each}_")), None)
    return Named(words, env, algorithm, after.removeprefix(f"_{algorithm}").removeprefix("_"))
