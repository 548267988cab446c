"""Claims V3 to V5: the worth of baselines (paper, section 2.2 and figures 5, 15)."""

import math

import numpy as np
import pandas as pd
from jaxtyping import Float

from dpg.report.aggregate import LAST_ITERATIONS, final_returns
from dpg.report.claims import needs
from dpg.report.claims.claim import (
    LATER,
    NO_EPISODE,
    NO_LATER,
    NotMeasuredError,
    agents_mean,
    claim,
    count,
    later,
    required,
)
from dpg.report.claims.simulation import THRESHOLD, SimulatedEffect, Simulation, one_number
from dpg.report.claims.verdicts import Finding, Part, Verdict, inequality
from dpg.report.experiment import Experiment, select
from dpg.report.summaries import ratio_of_means, without_baseline
from dpg.report.wording import counted
from dpg.runtime.budgets import Budget
from dpg.runtime.schema import Statistics
from dpg.tables.baselines import BaselineDifference
from dpg.tables.table import Section
from dpg.tables.training import AblationHistory, History
from dpg.tables.true_value import FitQuality

# Share of the variance of returns. Chance adds to returns only: the share of the true values' variance is no smaller.
GOOD_FIT = 0.9
NO_WORSE = -0.01  # returns are known to one part in a hundred
HALF_ORDER = 1 / math.sqrt(10)
_TRAINED = needs.agents("train")


@claim(
    "V3",
    Section.VALUES,
    "The true value function reduces the variance of gradients far more than the value net.",
    rule="Pairwise cosine at T pairs with the true value function inside GAE minus that with the value net, on the "
    "same streams: above 0, and above what the value net adds in the same way to the discounted return alone. "
    f"{LATER}",
    premise="of the variance of held-out returns the fitted function explains more than "
    f"{GOOD_FIT}, or no less than the value net (the difference is above {NO_WORSE}).",
    why="Far more, where the value net's own gain is called marginal: at least as much again as the value net brings. "
    "At T, where the paper sees it most. A bad fit of the true value function would say nothing. Returns are true "
    "values and chance, so that a function explains at least as large a share of the values as of the returns: above "
    f"{GOOD_FIT} it is good in itself, and takes out nine tenths of what any function of the state could. Where chance "
    "keeps every function below that, the net is the measure; returns are known to a hundredth. A premise that "
    "the fit explain more than the net could not hold where the net is good.",
    tables=(BaselineDifference, FitQuality),
    needs=(_TRAINED, needs.later_studied, needs.t_among("baselines", "sizes")),
    proviso="V* is good, or no worse than the net",
    simulation=one_number(SimulatedEffect("above", 0.0, 0.1, 0.05), SimulatedEffect("above", 0.0, 0.08, 0.05)),
)
def true_value_gains(cell: Experiment) -> Finding:
    at_t = select(_in_gae(cell), pairs=cell.timesteps)
    required(at_t, f"needs common.timesteps = {cell.timesteps:,} among baselines.sizes")
    more, net = _gain(at_t, "true value", "value net"), _gain(at_t, "value net", "zero")
    sizes, statistics = _sizes(at_t), cell.statistics
    quantity = f"cosine at {cell.timesteps:,} pairs that the true value function adds to the value net"
    beyond = (more - net).dropna()
    return Finding(
        (
            inequality(quantity, more, "above", 0.0, statistics, sizes),
            inequality(f"{quantity}, minus what that adds to zero", beyond, "above", 0.0, statistics, sizes),
            *_worth_comparing(later(cell[FitQuality]), statistics),
        )
    )


@claim(
    "V4",
    Section.VALUES,
    "The value net reduces it more than no baseline.",
    rule="Pairwise cosine with the value net inside GAE minus that with the discounted return alone, on the same "
    f"streams, at the most pairs measured: above 0. {LATER}",
    why="The paper claims a direction; at T it calls the difference rather small, and so it is looked for where it is "
    "clearest.",
    tables=(BaselineDifference,),
    needs=(_TRAINED, needs.later_studied),
    simulation=one_number(SimulatedEffect("above", 0.0, 0.05, 0.04)),
)
def value_net_gains(cell: Experiment) -> Finding:
    rows = _in_gae(cell)
    most = select(rows, pairs=rows["pairs"].max())
    quantity = f"cosine at {most['pairs'].iloc[0]:,} pairs that the value net adds to zero"
    gain = _gain(most, "value net", "zero")
    return Finding((inequality(quantity, gain, "above", 0.0, cell.statistics, _sizes(most)),))


def _in_gae(cell: Experiment) -> pd.DataFrame:
    """Differences of later snapshots with the baselines inside GAE, as the paper has them."""
    rows = select(later(cell[BaselineDifference]), advantage="gae")
    return required(rows, NO_LATER)


def _gain(rows: pd.DataFrame, baseline: str, other: str) -> "pd.Series[float]":
    return agents_mean(select(rows, baseline=baseline, other=other), "difference")


def _sizes(rows: pd.DataFrame) -> dict[str, int]:
    """Of the rows that enter: estimates of all agents and snapshots together, for one pair of baselines."""
    one = rows.dropna(subset="difference").drop_duplicates(["agent", "iteration"])
    return {"snapshots": count(one, "iteration"), "estimates": int(one["repeats"].sum())}


def _worth_comparing(fits: pd.DataFrame, statistics: Statistics) -> tuple[Part, ...]:
    """The premise that the fitted true value function is good in itself, or no worse than the value net.

    One of the two is enough, and is then the only part.
    """
    less = fits.assign(difference=fits["explained_variance"] - fits["value_net_explained_variance"])
    pairs = {"held-out pairs": int(fits["heldout_pairs"].sum())}
    explained = "explained variance of held-out returns by the true value function"

    def part(quantity: str, column: str, threshold: float) -> Part:
        values = agents_mean(less, column)
        return inequality(quantity, values, "above", threshold, statistics, pairs, premise=True)

    either = (
        part(explained, "explained_variance", GOOD_FIT),
        part(f"or else {explained}, minus the value net's", "difference", NO_WORSE),
    )
    met = tuple(each for each in either if each.verdict is Verdict.SUPPORTED)
    return met[:1] or either


WITHOUT, WITHOUT_SPREAD = 0.12, 0.2  # simulated final return without a baseline over that with it; relative spread


def _draw_returns(budget: Budget, rng: np.random.Generator, where: str, statistics: Statistics) -> Finding:
    """Final returns with the value net and without a baseline."""
    ratio = HALF_ORDER if where == THRESHOLD else WITHOUT

    def returns(mean: float) -> Float[np.ndarray, " N"]:
        normal = rng.standard_normal(budget.train.agents)
        return mean * np.exp(WITHOUT_SPREAD * normal - WITHOUT_SPREAD**2 / 2)

    interval = ratio_of_means(returns(1000 * ratio), returns(1000.0), statistics)
    return Finding((Part("simulated", interval, "below", HALF_ORDER),))


@claim(
    "V5",
    Section.VALUES,
    "Training without a baseline ends almost an order of magnitude lower.",
    rule=f"Final return without a baseline over that with the value net below {HALF_ORDER:.3f}.",
    premise="with it, the return rises from the first iterations to the last.",
    why="Half an order of magnitude: nearer to a tenth than to the same, in logarithms.",
    tables=(History, AblationHistory),
    needs=(_TRAINED, needs.trained_without_baseline),
    proviso="the return rises with the value net",
    simulation=Simulation(lambda budget: f"{counted(budget.train.agents, 'agent')} per side", _draw_returns),
)
def needs_a_baseline(cell: Experiment) -> Finding:
    history, without = cell[History], cell[AblationHistory]
    comparison = without_baseline(cell)
    if not math.isfinite(comparison.with_value.mean) or not math.isfinite(comparison.without.mean):
        raise NotMeasuredError(NO_EPISODE)
    if not math.isfinite(comparison.ratio.mean):
        raise NotMeasuredError("needs a positive final return with the value net: a ratio to any other says nothing")
    sizes = {
        "agents with the value net": len(final_returns(history)),
        "agents without a baseline": len(final_returns(without)),
        "pairs per agent": int(history["pairs"].max()),
    }
    quantity = "final return without a baseline over that with it"
    part = Part(quantity, comparison.ratio, "below", HALF_ORDER, sizes)
    return Finding((part, _learning(history, cell.statistics)))


def _learning(history: pd.DataFrame, statistics: Statistics) -> Part:
    """The premise that agents learn with the value net: the last iterations return more than the first."""
    late = history["iteration"] > history["iteration"].max() - LAST_ITERATIONS
    early = ~late & (history["iteration"] < LAST_ITERATIONS)
    rise = (agents_mean(history[late], "mean_return") - agents_mean(history[early], "mean_return")).dropna()
    return inequality("rise of the return with the value net", rise, "above", 0.0, statistics, premise=True)
