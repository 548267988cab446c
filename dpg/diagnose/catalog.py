"""All checks, in the order in which a reader takes them: what the agent does, what it believes, how it learns."""

from collections.abc import Sequence

from dpg.diagnose.checks import acting, gradients, updates, values
from dpg.diagnose.findings import Check
from dpg.runtime.errors import UserError

CHECKS: tuple[Check, ...] = (
    acting.returns_against_record,
    acting.exploration_gap,
    acting.normalizer_drift,
    acting.clipped_actions,
    acting.deviations,
    values.reward_unit,
    values.value_error,
    values.value_bias,
    values.explained_variance,
    values.time_limits,
    gradients.agreement,
    gradients.log_std_share,
    gradients.better_baselines,
    updates.confirmed_gains,
    updates.reward_gains,
)


def chosen(names: Sequence[str]) -> tuple[Check, ...]:
    """The checks of these names, in the catalog's order; all, if none is named.

    Raises:
        UserError: there is no check of such a name.
    """
    known = [check.name for check in CHECKS]
    for name in names:
        if name not in known:
            raise UserError(f"--check {name!r}: there is no such check; there are {', '.join(known)}")
    return tuple(check for check in CHECKS if not names or check.name in names)
