"""Claims L1 to L6: reward and surrogate around a snapshot (paper, section 2.3 and figures 6 to 8, 16 to 26)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pandas as pd

from dpg.report.claims import rules
from dpg.report.claims.cells import NO_LATER, Cell, agents_mean, cells, inequality, lacking, later, span
from dpg.report.claims.verdicts import Finding, Part
from dpg.report.tables import Tables, select
from dpg.runtime.schema import Statistics


def few_cannot_tell(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """L1, in every cell."""
    found: list[Finding] = []
    for cell, rows in _resolutions(tables, timesteps):
        least = rows[rows["budget_pairs"] <= timesteps]
        if rows.empty or least.empty:
            found.append(lacking(cell, NO_LATER if rows.empty else f"needs landscape.concentration of {timesteps:,}"))
            continue
        at = select(rows, budget_pairs=least["budget_pairs"].max())
        quantity = f"share of points told apart from {at['budget_pairs'].iloc[0]:,} pairs each"
        resolved = agents_mean(at, "own_resolved_share")
        part = inequality(quantity, resolved, "below", rules.HALF, statistics, **_points(at))
        found.append(Finding(str(cell), (part,), doubt=_alone(at)))
    return found


def many_are_smooth(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """L2, in every cell."""
    needed = rules.MANY * timesteps
    found: list[Finding] = []
    for cell, rows in _resolutions(tables, timesteps):
        enough = rows[rows["budget_pairs"] >= needed]
        if enough.empty:
            told = (
                NO_LATER if rows.empty else f"needs landscape.pairs_per_point of at least {rules.MANY} T = {needed:,}"
            )
            found.append(lacking(cell, told))
            continue
        at = select(enough, budget_pairs=enough["budget_pairs"].max())
        pairs = f"{at['budget_pairs'].iloc[0]:,} pairs each"
        resolved, noise = (agents_mean(at, column) for column in ("own_resolved_share", "own_noise_share"))
        parts = (
            inequality(
                f"share of points told apart from {pairs}", resolved, "above", rules.HALF, statistics, **_points(at)
            ),
            inequality(
                f"noise in the differences of neighbours from {pairs}",
                noise,
                "below",
                rules.HALF,
                statistics,
                **_points(at),
            ),
        )
        found.append(Finding(str(cell), parts, doubt=_alone(at)))
    return found


def early_alignment(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """L3, in every cell, in every regime."""
    found: list[Finding] = []
    for cell in cells(tables.history):
        rows = cell.of(tables.snapshot_gains)
        if rows.empty:
            found.append(lacking(cell, "needs updates from a studied snapshot: stage update_gain"))
            continue
        first = select(rows, iteration=rows["iteration"].min())
        regimes = [_update(some, "above", statistics) for _, some in first.groupby("update_pairs")]
        found.append(Finding(str(cell), tuple(part for parts in regimes for part in parts)))
    return found


def late_misalignment(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """L4, in every cell."""
    found: list[Finding] = []
    for cell, rows in _late(tables):
        at_t = select(rows, update_pairs=timesteps)
        if at_t.empty:
            needed = f"needs common.timesteps = {timesteps:,} among update_gain.update_pairs"
            found.append(lacking(cell, NO_LATER if rows.empty else needed))
            continue
        found.append(Finding(str(cell), _update(at_t, "below", statistics)))
    return found


def trpo_aligns_again(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """L5, in every cell of TRPO."""
    return _many_pairs(tables, timesteps, "trpo", "above", statistics)


def ppo_does_not(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """L6, in every cell of PPO."""
    return _many_pairs(tables, timesteps, "ppo", "below", statistics)


def _many_pairs(
    tables: Tables, timesteps: int, algorithm: str, side: Literal["below", "above"], statistics: Statistics
) -> list[Finding]:
    """A finding for every cell of an algorithm: late, with updates from the most pairs, if these are enough."""
    needed = rules.ORDERS * timesteps
    found: list[Finding] = []
    for cell, rows in _late(tables):
        if cell.algorithm != algorithm:
            continue
        most = int(rows["update_pairs"].max()) if len(rows) else 0
        if most < needed:
            told = f"needs update_gain.update_pairs of at least {rules.ORDERS} T = {needed:,}; the most are {most:,}"
            found.append(lacking(cell, NO_LATER if rows.empty else told))
            continue
        found.append(Finding(str(cell), _update(select(rows, update_pairs=most), side, statistics)))
    return found or [lacking("all cells", f"needs {algorithm} among algorithms")]


def _update(rows: pd.DataFrame, side: Literal["below", "above"], statistics: Statistics) -> tuple[Part, Part]:
    """What updates of one iteration and regime do to the reward, given that they raise the surrogate."""
    reward = select(rows, quantity="reward")
    pairs = int(reward["update_pairs"].iloc[0])
    sizes = {"updates": int(reward["updates"].sum()), "episodes an update": int(reward["episodes"].min())}
    gain = inequality(
        f"gain in reward of an update from {pairs:,} pairs", agents_mean(reward, "mean"), side, 0.0, statistics, **sizes
    )
    own = agents_mean(select(rows, quantity="own surrogate"), "mean")
    rise = inequality(
        f"gain in the surrogate of an update from {pairs:,} pairs, own batch", own, "above", 0.0, statistics
    )
    return gain, replace(rise, premise=True)


def _points(rows: pd.DataFrame) -> dict[str, int]:
    return {
        "snapshots": span(rows, "iteration"),
        "pairs of points": int(rows["point_pairs"].min()),
        "trajectories a point, at least": int(rows["trajectories"].min()),
    }


def _alone(rows: pd.DataFrame) -> str:
    """Why one agent's landscapes decide nothing."""
    return "" if span(rows, "agent") > 1 else "one agent has no interval: raise landscape.agents to 2 or more"


def _resolutions(tables: Tables, timesteps: int) -> Iterator[tuple[Cell, pd.DataFrame]]:
    """What landscapes show at later snapshots, around updates from T pairs."""
    for cell in cells(tables.history):
        yield cell, select(later(cell.of(tables.resolution)), update_pairs=timesteps)


def _late(tables: Tables) -> Iterator[tuple[Cell, pd.DataFrame]]:
    """Gains of updates from the last studied snapshot, if that is not the initial policy."""
    for cell in cells(tables.history):
        rows = cell.of(tables.snapshot_gains)
        yield cell, later(select(rows, iteration=rows["iteration"].max()))
