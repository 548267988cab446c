"""Agreement of surrogate and reward by algorithm, checkpoint and batch size: `landscape/alignment.csv`."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dpg.report import style, summaries
from dpg.report.experiment import Experiment, distinct, select
from dpg.report.figures.spec import FigureSpec
from dpg.report.wording import counted
from dpg.tables.landscape import Alignment
from dpg.tables.table import Section

_COLUMNS = {
    "grid_correlation": "rank correlation, grid",
    "step_correlation": "rank correlation, along the step",
    "relative_gain": "gain of the full step (% of the reward)",
}


def plot(experiment: Experiment) -> Figure:
    """For one task: rank correlations of surrogate and reward, and the gain of a full step."""
    alignment = experiment[Alignment]
    algorithms, regimes = distinct(alignment, "algorithm"), distinct(alignment, "update_pairs")
    figure = style.new_figure(style.WIDTH, 2.9)
    panels = figure.subplots(1, len(_COLUMNS), sharex=True)
    for axes, (column, label) in zip(panels, _COLUMNS.items(), strict=True):
        side_by_side(axes, summaries.alignment(alignment, column, experiment.statistics), experiment, algorithms)
        axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=1)
        axes.set_ylabel(label)
        if column == "relative_gain":
            axes.yaxis.set_major_locator(MaxNLocator(6))
        else:
            axes.set_ylim(-1.08, 1.08)
    figure.suptitle(f"{distinct(alignment, 'env')[0]}, surrogate and reward")
    regime_legend(figure, experiment, algorithms, regimes)
    return figure


def side_by_side(axes: Axes, rows: pd.DataFrame, experiment: Experiment, algorithms: list[str]) -> None:
    """At every checkpoint, draw a point with its interval for each algorithm and batch size."""
    iterations = sorted(distinct(rows, "iteration"))
    regimes = sorted(distinct(rows, "update_pairs"))
    places = [(algorithm, pairs) for algorithm in algorithms for pairs in regimes]
    for index, (algorithm, pairs) in enumerate(places):
        offset = 0.7 * ((index + 0.5) / len(places) - 0.5)
        known = select(rows, algorithm=algorithm, update_pairs=pairs).dropna(subset="mean")
        if known.empty:
            continue
        series = experiment.style(algorithm)
        at = [iterations.index(iteration) + offset for iteration in known["iteration"]]
        axes.vlines(at, known["low"], known["high"], color=series.color, linewidth=1.1)
        face = series.color if pairs == regimes[0] else "white"
        options = series.line(linestyle="none", markersize=4.5, markerfacecolor=face)
        axes.plot(at, known["mean"], label=f"{series.label}, {pairs}", **options)
    axes.set_xticks(range(len(iterations)), [str(iteration) for iteration in iterations])
    axes.set_xlim(-0.6, len(iterations) - 0.4)
    axes.set_xlabel("iteration")
    style.quiet_grid(axes)


def regime_legend(figure: Figure, experiment: Experiment, algorithms: list[str], regimes: list[int]) -> None:
    """Add an entry for every algorithm (columns) and batch size; markers of the first batch size are filled."""
    handles = [
        style.line_handle(
            f"{series.label}, update from {pairs:,} pairs",
            **series.line(linestyle="none", markerfacecolor=series.color if pairs == regimes[0] else "white"),
        )
        for series in map(experiment.style, algorithms)
        for pairs in regimes
    ]
    style.legend_below(figure, handles, columns=min(3, len(algorithms) if len(algorithms) > 1 else len(regimes)))


def caption(experiment: Experiment) -> str:
    alignment, statistics = experiment[Alignment], experiment.statistics
    agents, first, regimes = alignment["agent"].nunique(), alignment.iloc[0], distinct(alignment, "update_pairs")
    unit = f"over {agents} agents, by resampling agents" if agents > 1 else "of one agent, by resampling trajectories"
    return (
        "The numbers behind figures 7, 8 and 16 to 24 of the paper. Left: Spearman's rank correlation of surrogate and "
        f"reward over the {counted(first['points'], 'point')} of the grid; middle: over the "
        f"{counted(first['step_points'], 'point')} along "
        "the update step; right: what one full step adds to the reward, in percent of the snapshot's. Filled: updates "
        f"from {regimes[0]:,} pairs; open: from {' or '.join(f'{pairs:,}' for pairs in regimes[1:]) or 'more'}. Bars: "
        f"{statistics.confidence:.0%} intervals {unit} ({counted(alignment['trajectories'], 'trajectory')} per "
        f"point; {statistics.resamples} bootstrap resamples, or Student's t where wider, of which the frame cuts what "
        "is beyond -1 and 1). Noise in the reward draws "
        "correlations towards zero."
    )


FIGURE = FigureSpec(
    "fig07_alignment",
    "agreement of surrogate and reward",
    Section.LANDSCAPES,
    tables=(Alignment,),
    plot=plot,
    caption=caption,
    near=8,
)
