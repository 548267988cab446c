"""Claims V1 to V5: what value nets learn, and what they are worth (paper, section 2.2 and figures 4, 5, 13 to 15)."""

import pandas as pd

from dpg.report import ablation
from dpg.report.claims import rules
from dpg.report.claims.cells import Cell, agents_mean, cells, inequality, lacking, later, span
from dpg.report.claims.verdicts import Finding, Part
from dpg.report.tables import LAST_ITERATIONS, Tables, final_returns, interval_over_agents, select
from dpg.runtime.schema import Statistics

ERROR = "trimmed_relative_error"
NO_LATER = "needs a snapshot of the curve after iteration 0"


def fits_its_target(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """V1, in every cell."""

    def part(rows: pd.DataFrame, split: str, where: str) -> Part:
        of_split = select(rows, split=split, target="gae")
        quantity = f"relative error against its own target on {where} pairs"
        values = agents_mean(of_split, ERROR)
        return inequality(quantity, values, "below", rules.LOW_ERROR, statistics, **_sizes(of_split))

    return [
        Finding(str(cell), (part(rows, "train", "training"), part(rows, "heldout", "held-out")))
        if len(rows)
        else lacking(cell, NO_LATER)
        for cell, rows in _curves(tables)
    ]


def misses_the_returns(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """V2, in every cell."""
    found: list[Finding] = []
    for cell, rows in _curves(tables):
        if rows.empty:
            found.append(lacking(cell, NO_LATER))
            continue
        heldout = select(rows, split="heldout")
        returns, own = (agents_mean(select(heldout, target=target), ERROR) for target in ("returns", "gae"))
        sizes = _sizes(select(heldout, target="returns"))
        quantity = "relative error against the returns on held-out pairs"
        more = (returns - own).dropna()
        parts = (
            inequality(quantity, returns, "above", rules.LOW_ERROR, statistics, **sizes),
            inequality(f"{quantity}, minus that against its own target", more, "above", 0.0, statistics, **sizes),
        )
        found.append(Finding(str(cell), parts))
    return found


def needs_a_baseline(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """V5, in every cell."""
    found: list[Finding] = []
    for cell in cells(tables.history):
        history, without = cell.of(tables.history), cell.of(tables.ablation)
        ratio = ablation.compare(history, without, statistics).ratio
        sizes = {
            "agents with the value net": len(final_returns(history)),
            "agents without a baseline": len(final_returns(without)),
            "pairs an agent": int(history["pairs"].max()),
        }
        part = Part("final return without a baseline over that with it", ratio, "below", rules.HALF_ORDER, sizes)
        found.append(Finding(str(cell), (part, _learning(history, statistics))))
    return found


def _learning(history: pd.DataFrame, statistics: Statistics) -> Part:
    """The premise that agents learn with the value net: the last iterations return more than the first."""
    returns = history.assign(late=history["iteration"] > history["iteration"].max() - LAST_ITERATIONS)
    early = select(returns[returns["iteration"] < LAST_ITERATIONS], late=False)
    rise = (agents_mean(select(returns, late=True), "mean_return") - agents_mean(early, "mean_return")).dropna()
    interval = interval_over_agents(rise.to_numpy(float), statistics)
    return Part("rise of the return with the value net", interval, "above", 0.0, {"agents": len(rise)}, premise=True)


def _curves(tables: Tables) -> list[tuple[Cell, pd.DataFrame]]:
    return [(cell, later(cell.of(tables.value))) for cell in cells(tables.history)]


def _sizes(rows: pd.DataFrame) -> dict[str, int]:
    return {"snapshots": span(rows, "iteration"), "pairs": int(rows["pairs"].sum())}
