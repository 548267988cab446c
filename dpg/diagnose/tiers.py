"""Sample sizes of a diagnosis: a few declared tiers, so that results never depend on the clock without saying so.

The largest tier is taken that the measured rate of this machine fits into the time asked for, and its name is printed.
The same tier gives the same bytes.
"""

from dataclasses import dataclass

from dpg.runtime.errors import UserError


@dataclass(frozen=True)
class Tier:
    """The sizes of every measurement.

    Whole `episodes` for each way of acting; pairs for gradient estimates and for the fit of V*; `states` that are set,
    with `rollouts` from each while both take no more than `state_pairs`; whole updates, with `update_episodes` each.
    """

    name: str
    episodes: int
    gradient_pairs: int
    states: int
    rollouts: int
    state_pairs: int
    fit_pairs: int
    updates: int
    update_episodes: int


TIERS = (
    Tier("xs", 8, 24_000, 12, 4, 150_000, 16_000, 4, 4),
    Tier("s", 16, 50_000, 16, 6, 150_000, 30_000, 6, 6),
    Tier("m", 24, 100_000, 24, 8, 200_000, 60_000, 8, 8),
    Tier("l", 32, 200_000, 40, 8, 300_000, 100_000, 10, 12),
    Tier("xl", 48, 500_000, 64, 10, 600_000, 200_000, 16, 20),
    Tier("xxl", 96, 1_500_000, 128, 16, 1_500_000, 400_000, 24, 32),
)
# A mean over fewer says nothing that an interval could hold.
FEWEST_BATCHES = 8
# Streams whose gradients are held at once: of a small network many, of a large one fewer.
FEWEST_HELD, MOST_HELD, HELD_NUMBERS = 64, 256, 1_500_000
FEWEST_STATES, FEWEST_ROLLOUTS = 8, 4


def named(name: str) -> Tier:
    """The tier of this name.

    Raises:
        UserError: there is none.
    """
    for tier in TIERS:
        if tier.name == name:
            return tier
    raise UserError(f"--tier {name}: must be one of {', '.join(tier.name for tier in TIERS)}")
