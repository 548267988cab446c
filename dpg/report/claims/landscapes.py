"""Claims L1 to L6: reward and surrogate around a snapshot (paper, section 2.3 and figures 6 to 8, 16 to 26)."""

from collections.abc import Callable, Iterator

import pandas as pd

from dpg.numerics.statistics import Interval
from dpg.report.claims import rules
from dpg.report.claims.cells import NO_LATER, Cell, agents_mean, cells, inequality, lacking, later, over_few, span
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
        resolved = agents_mean(at, "resolved_share")
        part = inequality(quantity, resolved, "below", rules.HALF, statistics, **_points(at))
        found.append(Finding(str(cell), (part,)))
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
        resolved, noise = (agents_mean(at, column) for column in ("resolved_share", "noise_share"))
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
        found.append(Finding(str(cell), parts))
    return found


def early_alignment(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """L3, in every cell and regime."""

    def decide(cell: Cell, rows: pd.DataFrame) -> Finding:
        first = select(rows, iteration=rows["iteration"].min())
        return Finding(
            str(cell),
            tuple(
                _part(
                    same,
                    "step_correlation",
                    f"rank correlation along the step from {pairs:,} pairs",
                    "above",
                    statistics,
                )
                for pairs, same in first.groupby("update_pairs")
            ),
        )

    return [decide(cell, rows) if len(rows) else _none(cell) for cell, rows in _alignments(tables)]


def late_misalignment(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """L4, in every cell."""
    found: list[Finding] = []
    for cell, rows in _late(tables):
        low = select(rows, update_pairs=timesteps)
        if low.empty:
            needed = f"needs common.timesteps = {timesteps:,} among landscape.update_pairs"
            found.append(_none(cell) if rows.empty else lacking(cell, needed))
            continue
        rise = over_few(agents_mean(low, "surrogate_gain"), statistics)
        # The surrogate is known on its batch: without noise of its own, one agent's needs no interval.
        known = Interval(rise.mean, rise.mean, rise.mean) if span(low, "agent") == 1 else rise
        premise = Part("gain in the surrogate of a full step", known, "above", 0.0, {}, premise=True)
        fall = _part(low, "gain", f"gain in reward of a full step from {timesteps:,} pairs", "below", statistics)
        found.append(Finding(str(cell), (fall, premise)))
    return found


def trpo_aligns_again(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """L5, in every cell of TRPO."""
    quantity = "rank correlation along the step from {:,} pairs"
    return _high(
        tables,
        timesteps,
        "trpo",
        lambda rows, n: _part(rows, "step_correlation", quantity.format(n), "above", statistics),
    )


def ppo_does_not(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """L6, in every cell of PPO."""
    quantity = "gain in reward of a full step from {:,} pairs"
    return _high(tables, timesteps, "ppo", lambda rows, n: _part(rows, "gain", quantity.format(n), "below", statistics))


def _high(tables: Tables, timesteps: int, algorithm: str, part: Callable[[pd.DataFrame, int], Part]) -> list[Finding]:
    """A finding for every cell of an algorithm: late, with updates from the most pairs, if these are enough."""
    needed = rules.ORDERS * timesteps
    found: list[Finding] = []
    for cell, rows in _late(tables):
        if cell.algorithm != algorithm:
            continue
        most = int(rows["update_pairs"].max()) if len(rows) else 0
        if most < needed:
            told = f"needs landscape.update_pairs of at least {rules.ORDERS} T = {needed:,}; the most are {most:,}"
            found.append(_none(cell) if rows.empty else lacking(cell, told))
            continue
        found.append(Finding(str(cell), (part(select(rows, update_pairs=most), most),)))
    return found or [lacking("all cells", f"needs {algorithm} among algorithms")]


def _part(rows: pd.DataFrame, column: str, quantity: str, side: str, statistics: Statistics) -> Part:
    """The mean over agents; of a single agent its own interval, which resamples the trajectories of every point."""
    sizes = {"trajectories a point": int(rows["trajectories"].min())}
    part = inequality(quantity, agents_mean(rows, column), side, 0.0, statistics, **sizes)
    if len(rows) > 1 or rows[column].isna().all():
        return part
    own = Interval(*(float(rows[name].iloc[0]) for name in (column, f"{column}_low", f"{column}_high")))
    return Part(quantity, own, part.side, part.edge, part.sizes)


def _points(rows: pd.DataFrame) -> dict[str, int]:
    return {
        "snapshots": span(rows, "iteration"),
        "pairs of points": int(rows["point_pairs"].min()),
        "trajectories a point, at least": int(rows["trajectories"].min()),
    }


def _resolutions(tables: Tables, timesteps: int) -> Iterator[tuple[Cell, pd.DataFrame]]:
    """What landscapes show at later snapshots, around updates from T pairs."""
    for cell in cells(tables.history):
        yield cell, select(later(cell.of(tables.resolution)), update_pairs=timesteps)


def _alignments(tables: Tables) -> Iterator[tuple[Cell, pd.DataFrame]]:
    for cell in cells(tables.history):
        yield cell, cell.of(tables.alignment)


def _late(tables: Tables) -> Iterator[tuple[Cell, pd.DataFrame]]:
    """Alignments at the last studied snapshot, if that is not the initial policy."""
    for cell, rows in _alignments(tables):
        yield cell, later(select(rows, iteration=rows["iteration"].max()))


def _none(cell: Cell) -> Finding:
    return lacking(cell, NO_LATER)
