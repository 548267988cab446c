"""Claims V1 to V5: what value nets learn, and what they are worth (paper, section 2.2 and figures 4, 5, 13 to 15)."""

import math

import pandas as pd

from dpg.report import ablation
from dpg.report.claims import rules
from dpg.report.claims.cells import NO_EPISODE, Cell, agents_mean, cells, inequality, lacking, later, span
from dpg.report.claims.cells import NO_LATER as NO_LATER_STUDIED
from dpg.report.claims.verdicts import Finding, Part, Verdict, spread
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
        else lacking(cell, _no_values(cell, tables))
        for cell, rows in _curves(tables)
    ]


def misses_the_returns(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """V2, in every cell."""
    found: list[Finding] = []
    for cell, rows in _curves(tables):
        if rows.empty:
            found.append(lacking(cell, _no_values(cell, tables)))
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
        note = _by_release(select(heldout, target="returns"), statistics)
        found.append(Finding(str(cell), parts, note=note))
    return found


def _by_release(returns: pd.DataFrame, statistics: Statistics) -> str:
    """What the formula of the authors' release gives for the same nets, and for a predictor that knows the returns."""
    net, known, hindsight = (
        interval_over_agents(agents_mean(returns, column), statistics)
        for column in ("release_error", "release_error_known", "hindsight_error")
    )
    if not math.isfinite(net.mean):
        return ""
    text = f"by the formula of the authors' release the nets' error is {spread(net)}"
    if not math.isfinite(hindsight.mean):
        return text
    text += f", and that of a predictor which knows the returns {spread(hindsight)}"
    share = returns["hindsight_pairs"].sum() / returns["release_pairs"].sum()
    if share < 1:
        text += f" (on the {share:.1%} of the pairs whose return is known; the nets' error there is {spread(known)})"
    return f"{text}: so much of the paper's some 50 % may be its definition"


def true_value_gains(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """V3, in every cell."""
    found: list[Finding] = []
    for cell in cells(tables.history):
        rows = _in_gae(cell, tables)
        at_t = select(rows, pairs=timesteps)
        if at_t.empty:
            told = (
                _no_gains(cell, tables)
                if rows.empty
                else f"needs common.timesteps = {timesteps:,} among baselines.sizes"
            )
            found.append(lacking(cell, told))
            continue
        more, net = (_gain(at_t, *pair) for pair in (("true value", "value net"), ("value net", "zero")))
        sizes = _sizes_of_estimates(at_t)
        quantity = f"cosine at {timesteps:,} pairs that the true value function adds to the value net"
        beyond = (more - net).dropna()
        parts = (
            inequality(quantity, more, "above", 0.0, statistics, **sizes),
            inequality(f"{quantity}, minus what that adds to zero", beyond, "above", 0.0, statistics, **sizes),
            *_worth_comparing(later(cell.of(tables.fits)), statistics),
        )
        found.append(Finding(str(cell), parts))
    return found


def value_net_gains(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """V4, in every cell."""
    found: list[Finding] = []
    for cell in cells(tables.history):
        rows = _in_gae(cell, tables)
        if rows.empty:
            found.append(lacking(cell, _no_gains(cell, tables)))
            continue
        most = select(rows, pairs=rows["pairs"].max())
        quantity = f"cosine at {most['pairs'].iloc[0]:,} pairs that the value net adds to zero"
        gain = _gain(most, "value net", "zero")
        part = inequality(quantity, gain, "above", 0.0, statistics, **_sizes_of_estimates(most))
        found.append(Finding(str(cell), (part,)))
    return found


def _in_gae(cell: Cell, tables: Tables) -> pd.DataFrame:
    """Differences of later snapshots with the baselines inside GAE, as the paper has them."""
    return select(later(cell.of(tables.differences)), advantage="gae")


def _no_values(cell: Cell, tables: Tables) -> str:
    return cell.lacks(tables, "value") or NO_LATER


def _no_gains(cell: Cell, tables: Tables) -> str:
    return cell.lacks(tables, "baselines") or NO_LATER_STUDIED


def _gain(rows: pd.DataFrame, baseline: str, other: str) -> "pd.Series[float]":
    return agents_mean(select(rows, baseline=baseline, other=other), "difference")


def _sizes_of_estimates(rows: pd.DataFrame) -> dict[str, int]:
    """Estimates of all agents and snapshots together: those of one pair of baselines."""
    one = rows.drop_duplicates(["agent", "iteration"])
    return {"snapshots": span(rows, "iteration"), "estimates": int(one["repeats"].sum())}


def _worth_comparing(fits: pd.DataFrame, statistics: Statistics) -> tuple[Part, ...]:
    """The premise that the fitted true value function is good in itself, or no worse than the value net.

    One of the two is enough, and then stands alone.
    """
    less = fits.assign(difference=fits["explained_variance"] - fits["value_net_explained_variance"])
    sizes = {"agents": span(fits, "agent"), "held-out pairs": int(fits["heldout_pairs"].sum())}
    explained = "explained variance of held-out returns by the true value function"

    def part(quantity: str, column: str, edge: float) -> Part:
        interval = interval_over_agents(agents_mean(less, column), statistics)
        return Part(quantity, interval, "above", edge, sizes, premise=True)

    either = (
        part(explained, "explained_variance", rules.GOOD_FIT),
        part(f"or else {explained}, minus the value net's", "difference", rules.NO_WORSE),
    )
    met = tuple(each for each in either if each.verdict is Verdict.SUPPORTED)
    return met[:1] or either


def needs_a_baseline(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """V5, in every cell."""
    found: list[Finding] = []
    for cell in cells(tables.history):
        history, without = cell.of(tables.history), cell.of(tables.ablation)
        if without.empty:
            found.append(lacking(cell, cell.lacks(tables, "ablation")))
            continue
        comparison = ablation.compare(history, without, statistics)
        ratio = comparison.ratio
        if told := _no_ratio(comparison):
            found.append(lacking(cell, told))
            continue
        sizes = {
            "agents with the value net": len(final_returns(history)),
            "agents without a baseline": len(final_returns(without)),
            "pairs an agent": int(history["pairs"].max()),
        }
        part = Part("final return without a baseline over that with it", ratio, "below", rules.HALF_ORDER, sizes)
        found.append(Finding(str(cell), (part, _learning(history, statistics))))
    return found


def _no_ratio(found: ablation.Comparison) -> str:
    if not math.isfinite(found.with_value.mean) or not math.isfinite(found.without.mean):
        return NO_EPISODE
    if not math.isfinite(found.ratio.mean):
        return "needs a positive final return with the value net: a ratio to any other says nothing"
    return ""


def _learning(history: pd.DataFrame, statistics: Statistics) -> Part:
    """The premise that agents learn with the value net: the last iterations return more than the first."""
    returns = history.assign(late=history["iteration"] > history["iteration"].max() - LAST_ITERATIONS)
    early = select(returns[returns["iteration"] < LAST_ITERATIONS], late=False)
    rise = (agents_mean(select(returns, late=True), "mean_return") - agents_mean(early, "mean_return")).dropna()
    interval = interval_over_agents(rise, statistics)
    return Part("rise of the return with the value net", interval, "above", 0.0, {"agents": len(rise)}, premise=True)


def _curves(tables: Tables) -> list[tuple[Cell, pd.DataFrame]]:
    return [(cell, later(cell.of(tables.value))) for cell in cells(tables.history)]


def _sizes(rows: pd.DataFrame) -> dict[str, int]:
    return {"snapshots": span(rows, "iteration"), "pairs": int(rows["pairs"].sum())}
