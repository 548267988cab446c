"""Gains of whole updates in surrogate and reward, by algorithm, checkpoint and batch size: `update_gain`."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dpg.report import style
from dpg.report.experiment import Experiment, distinct, select
from dpg.report.figures.alignment import regime_legend, side_by_side
from dpg.report.figures.spec import FigureSpec
from dpg.report.wording import counted, span
from dpg.tables.table import Section
from dpg.tables.update_gain import AgentsGain, UpdateGain

_PANELS = {
    "own surrogate": "own-batch surrogate gain",
    "held-out surrogate": "held-out surrogate gain",
    "relative reward": "reward gain (% of the return)",
    "lowering share": "updates that lower the reward",
}
_SURROGATES = ("own surrogate", "held-out surrogate")


def plot(experiment: Experiment) -> Figure:
    """For one task: mean gains of updates in surrogate (both batches) and reward, and how many lower the reward."""
    gains = experiment[AgentsGain]
    algorithms = distinct(gains, "algorithm")
    figure = style.new_figure(style.WIDTH, 4.4)
    panels = figure.subplots(2, 2).ravel()
    surrogates = gains[gains["quantity"].isin(_SURROGATES)]
    # One scale for both batches: the difference is fitted noise.
    low, high = (surrogates[end].fillna(surrogates["mean"]) for end in ("low", "high"))
    ends = (min(0.0, low.min()), max(0.0, high.max()))
    margin = 0.06 * (ends[1] - ends[0])
    for axes, (quantity, label) in zip(panels, _PANELS.items(), strict=True):
        side_by_side(axes, select(gains, quantity=quantity), experiment, algorithms)
        axes.set_ylabel(label)
        level = 0.5 if quantity == "lowering share" else 0.0
        axes.axhline(level, color=style.FAINT, linewidth=0.6, zorder=1)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        if quantity in _SURROGATES and margin > 0:
            axes.set_ylim(ends[0] - margin, ends[1] + margin)
        if quantity == "lowering share":
            axes.set_ylim(-0.04, 1.04)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    figure.suptitle(f"{distinct(gains, 'env')[0]}, what whole updates gain")
    regime_legend(figure, experiment, algorithms, sorted(distinct(gains, "update_pairs")))
    return figure


def caption(experiment: Experiment) -> str:
    gains, updates, statistics = experiment[AgentsGain], experiment[UpdateGain], experiment.statistics
    agents = gains.loc[gains["quantity"].isin(_PANELS), "agents"]
    regimes = sorted(distinct(gains, "update_pairs"))
    per_snapshot = updates.groupby(["update_pairs", "algorithm", "agent", "iteration"])["update"].count()
    counts = dict.fromkeys(span(per_snapshot[pairs]) for pairs in regimes)
    more = f"; open: from {' or '.join(f'{pairs:,}' for pairs in regimes[1:])}" if len(regimes) > 1 else ""
    units = "agents, then their updates" if agents.max() > 1 else "one agent's updates"
    return (
        "In addition to figures 7 and 8 of the paper, which show one update of one agent: means over "
        f"{' or '.join(counts)} whole updates from each snapshot of {counted(agents, 'agent')}, every "
        f"update from fresh pairs of its own (filled: {regimes[0]:,} pairs{more}). Top: what the surrogate gains on "
        "the update's own batch, and on a held-out batch of as many fresh pairs, on one scale; what is missing on the "
        "right was fitted to noise. Bottom: what the reward gains, in percent of the snapshot's return, over "
        f"{counted(updates['episodes'], 'episode')} per update that policies before and after run from the same "
        "seeds; and the share of updates whose episodes return less after than before, which noise draws towards a "
        f"half (line). Bars: {statistics.confidence:.0%} intervals that resample {units} "
        f"({statistics.resamples} bootstrap resamples), or Student's t where that is wider."
    )


FIGURE = FigureSpec(
    "fig07_update_gain",
    "what whole updates gain",
    Section.LANDSCAPES,
    tables=(AgentsGain, UpdateGain),
    plot=plot,
    caption=caption,
    near=7,
)
