"""Every estimator against a known answer, and the same checks against estimators that are broken on purpose.

Agents on LinearQuadratic-v0 (`dpg.probes.known_answers`) are measured with the probes, and results are compared with
closed forms. A sound estimator must pass, and a broken one must be rejected: a check that cannot fail shows nothing. At
the limit of 4 normal deviations, a sound estimator has a false alarm in 16,000, and all checks together one in 300.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dpg.probes.known_answers.baselines import baseline_checks
from dpg.probes.known_answers.claims import claim_checks
from dpg.probes.known_answers.gradients import estimator_checks
from dpg.probes.known_answers.returns import landscape_checks, update_gain_checks
from dpg.probes.known_answers.values import return_checks, state_checks, value_checks
from dpg.tables.calibrate import Check

MIN_STREAMS = 16384

CHECKS: Mapping[str, Callable[[int, int], list[Check]]] = {
    "gradients": estimator_checks,
    "returns": return_checks,
    "values": value_checks,
    "states": state_checks,
    "baselines": baseline_checks,
    "landscapes": landscape_checks,
    "update gains": update_gain_checks,
    "claims": lambda seed, _: claim_checks(seed),
}


@dataclass(frozen=True)
class CalibrationShard:
    """The checks of one kind of estimator; gradients are made from `streams` streams of 10 pairs."""

    kind: str
    seed: int
    streams: int

    def __str__(self) -> str:
        return f"checks of {self.kind}"


def plan(seed: int, streams: int = MIN_STREAMS) -> list[CalibrationShard]:
    """One shard for each kind of estimator.

    The distinction of streams from pairs needs twice as many streams: on this task it is the smallest effect.

    Raises:
        ValueError: there are too few streams to reject the broken estimators.
    """
    if streams < MIN_STREAMS:
        raise ValueError(f"a calibration needs at least {MIN_STREAMS} streams, not {streams}")
    return [CalibrationShard(kind, seed, streams) for kind in CHECKS]


def measure(shard: CalibrationShard) -> list[Check]:
    """The checks of a shard."""
    return CHECKS[shard.kind](shard.seed, shard.streams)


def tabulate(results: Iterable[list[Check]]) -> list[Check]:
    """All checks, sound estimators first."""
    return sorted((check for checks in results for check in checks), key=lambda check: check.broken)
