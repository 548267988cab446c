"""Every estimator against a known answer, and the same checks against estimators that are broken on purpose.

Agents on LinearQuadratic-v0 (`dpg.probes.known_answers`) are measured with the probes, and results are compared with
closed forms. A sound estimator must pass, and a broken one must be rejected: a check that cannot fail shows nothing. At
the limit of 4 normal deviations, a sound estimator has a false alarm in 16,000, and all checks together one in 300.
"""

from dpg.probes.known_answers.baselines import baseline_checks
from dpg.probes.known_answers.claims import claim_checks
from dpg.probes.known_answers.gradients import estimator_checks
from dpg.probes.known_answers.returns import landscape_checks, update_gain_checks
from dpg.probes.known_answers.values import return_checks, state_checks, value_checks
from dpg.tables.calibrate import Check

MIN_STREAMS = 16384


def validate(seed: int = 0, streams: int = MIN_STREAMS) -> list[Check]:
    """All checks, sound estimators first; gradients are made from `streams` streams of 10 pairs.

    The distinction of streams from pairs needs twice as many: on this task it is the smallest effect.

    Raises:
        ValueError: there are too few streams to reject the broken estimators.
    """
    if streams < MIN_STREAMS:
        raise ValueError(f"a calibration needs at least {MIN_STREAMS} streams, not {streams}")
    kinds = (estimator_checks, return_checks, value_checks, state_checks, baseline_checks, landscape_checks)
    checks = [check for kind in (*kinds, update_gain_checks) for check in kind(seed, streams)]
    return sorted([*checks, *claim_checks(seed)], key=lambda check: check.broken)
