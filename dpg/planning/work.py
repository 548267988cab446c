"""The work of stages: shards by their kind and size, and the bytes that come of them."""

from collections import Counter
from dataclasses import dataclass, replace

from dpg.planning.measurement import Amounts, Kind
from dpg.runtime.schema import AlgorithmName

# The stages that are measured by drawing.
DRAWN = ("figures", "report")


@dataclass(frozen=True)
class Load:
    """`count` equal shards, which may run side by side.

    `work` is what a shard's time is made of, in the units that its `kind` is measured in (`dpg.planning.miniatures`);
    `pairs` are those that it holds in memory at once, `width` the agents, streams or environments side by side.
    """

    kind: Kind
    count: int
    work: Amounts
    pairs: int
    width: int


@dataclass(frozen=True)
class StageWork:
    """What one stage does. A round of shards ends before the next begins; bytes are those of a whole execution.

    `held_bytes` is what the stage's own process gathers, `scratch_bytes` what finished shards leave until the stage
    has published. `figures` counts what is drawn.
    """

    stage: str
    env: str | None = None
    algorithm: AlgorithmName | None = None
    pairs: int = 0
    episodes: int = 0
    approximate: bool = False
    rounds: tuple[tuple[Load, ...], ...] = ()
    held_bytes: int = 0
    scratch_bytes: int = 0
    output_bytes: int = 0

    @property
    def name(self) -> str:
        """As DVC calls it."""
        cell = [part for part in (self.env, self.algorithm) if part]
        return f"{self.stage}@{'-'.join(cell)}" if cell else self.stage

    @property
    def trained_as(self) -> AlgorithmName:
        """The algorithm whose shards these are; regimes are trainings of PPO."""
        return self.algorithm or "ppo"

    @property
    def loads(self) -> list[Load]:
        """All shards."""
        return [load for each in self.rounds for load in each]


def counted(loads: "Counter[Load]") -> tuple[Load, ...]:
    """Equal loads as one, with their number."""
    return tuple(replace(load, count=number) for load, number in loads.items())
