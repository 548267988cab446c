"""Errors of value functions at single states, against Monte Carlo estimates of the true values there.

The rollouts' own noise is subtracted from every square, so that a correct value function has an expected error of zero.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from dpg.agent.snapshot import Snapshot
from dpg.numerics.ratios import ratio
from dpg.numerics.statistics import bootstrap, root
from dpg.probes import true_value
from dpg.probes.collection import Rows, identity, probe_seed
from dpg.probes.state_rollouts import RolloutShard, StateRollouts
from dpg.runtime.schema import Statistics
from dpg.tables.true_value import StateErrors, StateValue


@dataclass(frozen=True)
class CheckedStates:
    """The rollouts from the states of one snapshot, and the values of nets there by the nets' names."""

    snapshot: Snapshot
    rollouts: StateRollouts
    nets: dict[str, Float[np.ndarray, " S"]]


def gather(
    shards: Sequence[RolloutShard],
    results: Iterable[StateRollouts],
    true_values: Sequence[Float[np.ndarray, " D"]],
) -> Iterator[CheckedStates]:
    """Each snapshot's rollouts with the values of its own net, `value net`, and of V*, `true value`."""
    for shard, rollouts, fitted in zip(shards, results, true_values, strict=True):
        state = shard.snapshot.state
        vectors = {"value net": state.value[0], "true value": fitted}
        nets = {name: true_value.predict(state.architecture, each, rollouts.obs) for name, each in vectors.items()}
        yield CheckedStates(shard.snapshot, rollouts, nets)


def tabulate(found: Iterable[CheckedStates], statistics: Statistics, seed: int) -> Rows:
    """The values at all states, and the errors of the nets over the states of every snapshot."""
    rows: Rows = {StateValue: [], StateErrors: []}
    for checked in found:
        rows[StateValue] += state_values(checked)
        rows[StateErrors] += state_errors(checked, statistics, seed)
    return rows


def _estimates(rollouts: StateRollouts) -> tuple[Float[np.ndarray, " S"], Float[np.ndarray, " S"]]:
    """Mean returns at the states and their standard errors; NaN without rollouts."""
    if rollouts.return_.shape[1] == 0:
        return np.full(len(rollouts.obs), np.nan), np.full(len(rollouts.obs), np.nan)
    return rollouts.return_.mean(axis=1), stats.sem(rollouts.return_, axis=1)


def state_values(checked: CheckedStates) -> list[StateValue]:
    """One row for each state."""
    rollouts, nets = checked.rollouts, checked.nets
    mean, error = _estimates(rollouts)
    return [
        StateValue(
            **identity(checked.snapshot),
            state=index,
            elapsed=int(rollouts.elapsed[index]),
            rollouts=rollouts.return_.shape[1],
            pairs=int(rollouts.length[index].sum()),
            cut=int(rollouts.cut[index].sum()),
            rollout_mean=float(mean[index]),
            rollout_se=float(error[index]),
            value_net=float(nets["value net"][index]),
            true_value=float(nets["true value"][index]),
        )
        for index in range(len(mean))
    ]


def state_errors(checked: CheckedStates, statistics: Statistics, seed: int) -> Iterator[StateErrors]:
    """One row for each net."""
    mean, error = _estimates(checked.rollouts)
    count = checked.rollouts.return_.shape[1]
    rng = (probe_seed(seed, "states", checked.snapshot) / "bootstrap").generator()
    settings = (len(mean), statistics.confidence, statistics.resamples, rng)
    for name, values in checked.nets.items():
        relative, explained = (
            bootstrap(
                float(measure(values[None], mean[None], error[None])[0]),
                lambda indices, of=measure, v=values: of(v[indices], mean[indices], error[indices]),
                *settings,
            )
            for measure in (squared_relative_error, explained_variance)
        )
        yield StateErrors(
            **identity(checked.snapshot),
            net=name,
            states=len(mean) if count else 0,
            rollouts=count,
            **root(relative).columns("relative_error", "relative_error_"),
            squared_error=float(squared_error(values, mean, error)),
            squared_value=float(squared_value(mean, error)),
            **explained.columns("explained_variance", "explained_variance_"),
        )


Measure = Callable[
    [Float[np.ndarray, "B S"], Float[np.ndarray, "B S"], Float[np.ndarray, "B S"]],
    Float[np.ndarray, " B"],
]


def squared_relative_error(
    values: Float[np.ndarray, "B S"], mean: Float[np.ndarray, "B S"], error: Float[np.ndarray, "B S"]
) -> Float[np.ndarray, " B"]:
    """Mean square of V - v over that of v, v being known as `mean` with standard error `error`."""
    return ratio(squared_error(values, mean, error), squared_value(mean, error))


def squared_error(
    values: Float[np.ndarray, "*batch S"], mean: Float[np.ndarray, "*batch S"], error: Float[np.ndarray, "*batch S"]
) -> Float[np.ndarray, "*batch"]:
    """Mean over states of (V - v)^2, v being known as `mean` with standard error `error`.

    E (V - mean)^2 = (V - v)^2 + error^2: the noise of the rollouts is subtracted.
    """
    return np.asarray(((values - mean) ** 2 - error**2).mean(axis=-1))


def squared_value(
    mean: Float[np.ndarray, "*batch S"], error: Float[np.ndarray, "*batch S"]
) -> Float[np.ndarray, "*batch"]:
    """Mean over states of v^2: E mean^2 = v^2 + error^2."""
    return np.asarray((mean**2 - error**2).mean(axis=-1))


def explained_variance(
    values: Float[np.ndarray, "B S"], mean: Float[np.ndarray, "B S"], error: Float[np.ndarray, "B S"]
) -> Float[np.ndarray, " B"]:
    """1 - var(v - V) / var(v) over states, with the noise of the rollouts subtracted from both variances."""
    noise = (error**2).mean(axis=-1)
    unexplained = np.var(mean - values, axis=-1, ddof=1) - noise
    return 1 - ratio(unexplained, np.var(mean, axis=-1, ddof=1) - noise)
