"""The tables of `dpg.probes.update_gain`: every update, and means over updates and agents with intervals.

Intervals resample agents, then each one's updates, then each update's episodes, as pairs of before and after.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from dpg.numerics.statistics import Interval, Sample, nested_interval, of_values, standard_error
from dpg.probes.update_gain import Gains
from dpg.runtime.schema import Statistics
from dpg.runtime.seeding import Seed


@dataclass(frozen=True)
class UpdateGain:
    """One row of `update_gain.csv`: what one whole update from `update_pairs` pairs gains.

    Surrogate gains are on the update's own batch, with `trajectories` complete episodes, and on a held-out one of as
    many pairs. `reward_gain` is the mean difference of `episodes` whole episodes that the policies before and after
    run from the same seeds, `pairs` pairs in all; `reward_gain_se` is its standard error.
    """

    env: str
    algorithm: str
    agent: int
    iteration: int
    update_pairs: int
    update: int
    trajectories: int
    step_norm: float
    own_surrogate_gain: float
    heldout_surrogate_gain: float
    episodes: int
    pairs: int
    snapshot_return: float
    reward_gain: float
    reward_gain_se: float


@dataclass(frozen=True)
class SnapshotGain:
    """One row of `snapshots.csv`: the mean of a quantity over `updates` updates from one snapshot.

    `quantity` is one of `QUANTITIES`. `unmoved` updates left the policy where it was. The interval resamples updates,
    then each one's `episodes`.
    """

    env: str
    algorithm: str
    agent: int
    iteration: int
    update_pairs: int
    quantity: str
    updates: int
    unmoved: int
    episodes: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class AgentsGain:
    """One row of `agents.csv`: the mean of a quantity over `agents` agents that have it.

    The interval resamples agents, then each one's updates, then their episodes. `updates` counts those of all agents.
    """

    env: str
    algorithm: str
    iteration: int
    update_pairs: int
    quantity: str
    agents: int
    updates: int
    episodes: int
    mean: float
    low: float
    high: float


Quantity = Callable[[Gains, int, np.random.Generator], Sample]


def _reward(gains: Gains, resamples: int, rng: np.random.Generator) -> Sample:
    return of_groups(gains.difference, lambda means: means, resamples, rng)


def _relative_reward(gains: Gains, resamples: int, rng: np.random.Generator) -> Sample:
    level = abs(float(gains.before.mean()))
    percent = gains.difference * (100 / level if level > 0 else np.nan)
    return of_groups(percent, lambda means: means, resamples, rng)


def _own(gains: Gains, resamples: int, rng: np.random.Generator) -> Sample:  # noqa: ARG001
    return of_values(gains.own_gain)


def _heldout(gains: Gains, resamples: int, rng: np.random.Generator) -> Sample:  # noqa: ARG001
    return of_values(gains.heldout_gain)


def _confirmed(gains: Gains, resamples: int, rng: np.random.Generator) -> Sample:  # noqa: ARG001
    return of_ratio(gains.heldout_gain, gains.own_gain)


def _lowering(gains: Gains, resamples: int, rng: np.random.Generator) -> Sample:
    return of_groups(gains.difference, lambda means: (means < 0).astype(np.float64), resamples, rng)


# Mean gains in reward, in percent of the snapshot's return without its sign, and in the surrogate; the held-out gain
# over the own one; the share of updates whose episodes have a lower mean return after than before.
QUANTITIES: dict[str, Quantity] = {
    "reward": _reward,
    "relative reward": _relative_reward,
    "own surrogate": _own,
    "held-out surrogate": _heldout,
    "confirmed share": _confirmed,
    "lowering share": _lowering,
}


def of_groups(
    values: Float[np.ndarray, "K E"],
    measure: Callable[[np.ndarray], np.ndarray],
    resamples: int,
    rng: np.random.Generator,
) -> Sample:
    """The mean over K units of a measure of each one's mean, whose own E values are resampled as well."""
    count = values.shape[1]
    within = np.stack([measure(row[rng.integers(0, count, (resamples, count))].mean(axis=-1)) for row in values])

    def resampled(indices: Int[np.ndarray, "B K"]) -> Float[np.ndarray, " B"]:
        return within[indices, rng.integers(0, resamples, indices.shape)].mean(axis=-1)

    return Sample(float(measure(values.mean(axis=-1)).mean()), resampled, len(values))


def of_ratio(part: Float[np.ndarray, " K"], whole: Float[np.ndarray, " K"]) -> Sample:
    """The ratio of two means over the same K units; NaN where the lower one is not positive."""

    def ratio(above: Any, below: Any) -> Any:
        positive: Bool[np.ndarray, ...] = np.asarray(below > 0)
        return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=positive)

    def resampled(indices: Int[np.ndarray, "B K"]) -> Float[np.ndarray, " B"]:
        return ratio(part[indices].mean(axis=-1), whole[indices].mean(axis=-1))

    return Sample(float(ratio(part.mean(), whole.mean())), resampled, len(part))


def tabulate(gains: Iterable[Gains], statistics: Statistics, seed: int) -> dict[str, list[Any]]:
    """The rows of every table, by the name of its file."""
    found = list(gains)
    return {
        "update_gain.csv": [row for each in found for row in updates(each)],
        "snapshots.csv": [row for each in found for row in snapshot_means(each, statistics, seed)],
        "agents.csv": list(agents_means(found, statistics, seed)),
    }


def updates(gains: Gains) -> list[UpdateGain]:
    """A row an update."""
    errors = standard_error(gains.difference)
    return [
        UpdateGain(
            **_cell(gains),
            agent=gains.snapshot.agent,
            update=index,
            trajectories=int(gains.trajectories[index]),
            step_norm=float(gains.step_norm[index]),
            own_surrogate_gain=float(gains.own_gain[index]),
            heldout_surrogate_gain=float(gains.heldout_gain[index]),
            episodes=gains.before.shape[1],
            pairs=int(gains.pairs[index]),
            snapshot_return=float(gains.before[index].mean()),
            reward_gain=float(gains.difference[index].mean()),
            reward_gain_se=float(errors[index]),
        )
        for index in range(len(gains.own_gain))
    ]


def snapshot_means(gains: Gains, statistics: Statistics, seed: int) -> Iterator[SnapshotGain]:
    """A row a quantity."""
    for quantity in QUANTITIES:
        mean, low, high = interval([gains], quantity, statistics, seed)
        yield SnapshotGain(
            **_cell(gains),
            agent=gains.snapshot.agent,
            quantity=quantity,
            updates=len(gains.own_gain),
            unmoved=int(gains.unmoved.sum()),
            episodes=gains.before.shape[1],
            mean=mean,
            low=low,
            high=high,
        )


def agents_means(found: Sequence[Gains], statistics: Statistics, seed: int) -> Iterator[AgentsGain]:
    """A row an iteration, regime and quantity."""

    def key(gains: Gains) -> tuple[int, int]:
        return gains.snapshot.iteration, gains.update_pairs

    for _, group in groupby(sorted(found, key=key), key):
        some = list(group)
        for quantity in QUANTITIES:
            mean, low, high = interval(some, quantity, statistics, seed)
            yield AgentsGain(
                **_cell(some[0]),
                quantity=quantity,
                agents=len(some),
                updates=sum(len(each.own_gain) for each in some),
                episodes=some[0].before.shape[1],
                mean=mean,
                low=low,
                high=high,
            )


def interval(some: Sequence[Gains], quantity: str, statistics: Statistics, seed: int) -> Interval:
    """The mean over agents; of one agent, over its updates."""
    # The same resamples for every checkpoint, regime and quantity: what differs between rows is what was measured.
    rng = (Seed(seed) / "update_gain" / "bootstrap").generator()
    samples = [QUANTITIES[quantity](each, statistics.resamples, rng) for each in some]
    return nested_interval(samples, statistics.confidence, statistics.resamples, rng)


def _cell(gains: Gains) -> dict[str, Any]:
    recipe = gains.snapshot.recipe
    return {
        "env": recipe.env_id,
        "algorithm": recipe.algorithm,
        "iteration": gains.snapshot.iteration,
        "update_pairs": gains.update_pairs,
    }
