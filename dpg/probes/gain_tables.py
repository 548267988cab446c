"""The tables of `dpg.probes.update_gain`: every update, and means over updates and agents with intervals.

Intervals resample agents, then the updates of each. Every update has its own episodes, in pairs of before and after, so
that the variance over updates includes that over episodes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from dpg.numerics.ratios import ratio
from dpg.numerics.statistics import Interval, Sample, all_but_one, nested_interval, of_values
from dpg.probes.collection import Rows
from dpg.probes.update_gain import Gains
from dpg.runtime.schema import Statistics
from dpg.runtime.seeding import Seed
from dpg.tables.update_gain import AgentsGain, SnapshotGain, UpdateGain

Quantity = Callable[[Gains], Sample]


def _reward(gains: Gains) -> Sample:
    return of_values(gains.difference.mean(axis=-1))


def _relative_reward(gains: Gains) -> Sample:
    level = abs(float(gains.before.mean()))
    return of_values(gains.difference.mean(axis=-1) * (100 / level if level > 0 else np.nan))


def _own(gains: Gains) -> Sample:
    return of_values(gains.own_gain)


def _heldout(gains: Gains) -> Sample:
    return of_values(gains.heldout_gain)


def _confirmed(gains: Gains) -> Sample:
    return of_ratio(gains.heldout_gain, gains.own_gain)


def _lowering(gains: Gains) -> Sample:
    return of_values((gains.difference.mean(axis=-1) < 0).astype(np.float64))


# Mean gains in reward, in percent of the snapshot's absolute return, and in the surrogate; held-out over own gain; the
# share of updates after which the mean return is lower.
QUANTITIES: dict[str, Quantity] = {
    "reward": _reward,
    "relative reward": _relative_reward,
    "own surrogate": _own,
    "held-out surrogate": _heldout,
    "confirmed share": _confirmed,
    "lowering share": _lowering,
}


def of_ratio(part: Float[np.ndarray, " K"], whole: Float[np.ndarray, " K"]) -> Sample:
    """The ratio of two means over the same K units, as jackknife pseudo-values; NaN where the lower one is not > 0."""
    units, others = len(part), all_but_one(len(part))
    point = float(ratio(part.mean(), whole.mean()))
    without = ratio(part[others].mean(axis=-1), whole[others].mean(axis=-1))
    return Sample(point, point - (units - 1) * (without - without.mean()))


def tabulate(gains: Iterable[Gains], statistics: Statistics, seed: int) -> Rows:
    """Every update, and means over updates and over agents."""
    found = list(gains)
    return {
        UpdateGain: [row for each in found for row in updates(each)],
        SnapshotGain: [row for each in found for row in snapshot_means(each, statistics, seed)],
        AgentsGain: list(agents_means(found, statistics, seed)),
    }


def updates(gains: Gains) -> list[UpdateGain]:
    """One row for each update."""
    errors = stats.sem(gains.difference, axis=1)
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
    """One row for each quantity."""
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
    """One row for each iteration, regime and quantity."""

    def key(gains: Gains) -> tuple[int, int]:
        return gains.snapshot.iteration, gains.update_pairs

    for _, group in groupby(sorted(found, key=key), key):
        some = list(group)
        for quantity, sample in QUANTITIES.items():
            mean, low, high = interval(some, quantity, statistics, seed)
            yield AgentsGain(
                **_cell(some[0]),
                quantity=quantity,
                agents=sum(bool(np.isfinite(sample(each).point)) for each in some),
                updates=sum(len(each.own_gain) for each in some),
                episodes=some[0].before.shape[1],
                mean=mean,
                low=low,
                high=high,
            )


def interval(some: Sequence[Gains], quantity: str, statistics: Statistics, seed: int) -> Interval:
    """The mean over agents; of one agent, over its updates."""
    # The same resamples for every checkpoint, regime and quantity: rows differ only by their measurements.
    rng = (Seed(seed) / "update_gain" / "bootstrap").generator()
    samples = [QUANTITIES[quantity](each) for each in some]
    mean, low, high = nested_interval(samples, statistics.confidence, statistics.resamples, rng)
    if quantity == "lowering share":
        low, high = np.clip([low, high], 0.0, 1.0).tolist()
    return Interval(mean, low, high)


def _cell(gains: Gains) -> dict[str, Any]:
    recipe = gains.snapshot.recipe
    return {
        "env": recipe.env_id,
        "algorithm": recipe.algorithm,
        "iteration": gains.snapshot.iteration,
        "update_pairs": gains.update_pairs,
    }
