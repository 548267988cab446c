"""Every estimator against a known answer, and the same checks against estimators that are broken on purpose.

Agents on LinearQuadratic-v0 (`dpg.probes.known_answers`) are measured with the probes, and results are compared with
closed forms. A sound estimator must pass, and a broken one must be rejected: a check that cannot fail shows nothing. At
the limit of 4 normal deviations, a sound estimator has a false alarm in 16,000, and all checks together one in 300.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dpg.probes.collection import Rows
from dpg.probes.known_answers.baselines import baseline_checks
from dpg.probes.known_answers.claims import claim_checks
from dpg.probes.known_answers.gradients import estimator_checks
from dpg.probes.known_answers.landscapes import landscape_checks
from dpg.probes.known_answers.update_gains import update_gain_checks
from dpg.probes.known_answers.values import return_checks, state_checks, value_checks
from dpg.tables.calibrate import Check

MIN_STREAMS = 16384


@dataclass(frozen=True)
class ValidationShard:
    """One validation of all estimators."""

    streams: int
    seed: int = 0


def plan(streams: int = MIN_STREAMS, seed: int = 0) -> list[ValidationShard]:
    """A single shard."""
    return [ValidationShard(streams, seed)]


def measure(shard: ValidationShard) -> list[Check]:
    """All checks."""
    return validate(shard.seed, shard.streams)


def tabulate(results: Iterable[list[Check]]) -> Rows:
    """One row for each check."""
    return {Check: [check for checks in results for check in checks]}


def validate(seed: int = 0, streams: int = MIN_STREAMS) -> list[Check]:
    """All checks, sound estimators first; gradients are made from `streams` streams of 10 pairs.

    The distinction of streams from pairs needs twice as many: on this task it is the smallest effect.

    Raises:
        ValueError: there are too few streams to reject the broken estimators.
    """
    if streams < MIN_STREAMS:
        raise ValueError(f"a calibration needs at least {MIN_STREAMS} streams, not {streams}")
    checks = [
        *estimator_checks(seed, streams),
        *return_checks(seed, streams),
        *value_checks(seed, streams),
        *state_checks(seed, streams),
        *baseline_checks(seed, streams),
        *landscape_checks(seed, streams),
        *update_gain_checks(seed, streams),
        *claim_checks(seed),
    ]
    return sorted(checks, key=lambda check: check.broken)
