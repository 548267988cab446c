"""Agreement of gradient estimates by baseline (paper, fig. 5, 15): `baselines/baselines.csv` and `agents.csv`."""

from collections.abc import Callable, Iterable, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpg.report import style
from dpg.report.aggregate import over_agents
from dpg.report.experiment import Experiment, distinct, select
from dpg.report.figures.parts import agents_in, band, shaded, trajectories_at_t
from dpg.report.figures.spec import FigureSpec, PaperFigure
from dpg.report.style import SeriesStyle
from dpg.report.wording import counted
from dpg.tables.baselines import AgentsDifference, BaselineCosine
from dpg.tables.table import Section

# Dark to light, so that they are distinct in grey, and by their markers as well.
BASELINES: Mapping[str, SeriesStyle] = {
    "true value": SeriesStyle("V*, the true value function", "#000000", "o", "solid"),
    "value net": SeriesStyle("the agent's value net", "#2C7FB8", "s", (0, (5.0, 1.5))),
    "zero": SeriesStyle("zero", "#A0A0A0", "^", (0, (1.4, 1.2))),
}
_PAIRS: Mapping[tuple[str, str], SeriesStyle] = {
    ("true value", "value net"): SeriesStyle("V* over the value net", "#000000", "o", "solid"),
    ("value net", "zero"): SeriesStyle("the value net over zero", "#2C7FB8", "s", (0, (5.0, 1.5))),
}
_ADVANTAGES = {"gae": "inside GAE", "returns": "returns $-$ b(s)"}


def plot_cosines(experiment: Experiment) -> Figure:
    """For one task: cosine of gradient estimates with each other, by baseline."""

    def curves(axes: Axes, rows: pd.DataFrame) -> None:
        for name, series in BASELINES.items():
            mean = over_agents(select(rows, baseline=name), ["pairs"], "cosine", experiment.statistics)
            _curve(axes, mean.dropna(subset="mean"), "mean", name, series)

    what = "gradient estimates against each other, by baseline"
    return _plot(
        experiment, experiment[BaselineCosine], "cosine similarity", what, curves, BASELINES.values(), columns=3
    )


def plot_differences(experiment: Experiment) -> Figure:
    """Differences of cosines on the same streams: V* over the value net, and the value net over zero."""

    def curves(axes: Axes, rows: pd.DataFrame) -> None:
        for (one, other), series in _PAIRS.items():
            mine = select(rows, baseline=one, other=other).dropna(subset="difference").sort_values("pairs")
            _curve(axes, mine, "difference", f"{one} over {other}", series)

    what = "what a better baseline adds to the cosine, on the same streams"
    return _plot(
        experiment, experiment[AgentsDifference], "difference of cosines", what, curves, _PAIRS.values(), columns=4
    )


def _plot(
    experiment: Experiment,
    table: pd.DataFrame,
    label: str,
    what: str,
    curves: Callable[[Axes, pd.DataFrame], None],
    series: Iterable[SeriesStyle],
    columns: int,
) -> Figure:
    """Panels by algorithm and kind of advantage (rows), and by checkpoint (columns)."""
    lines = [(algorithm, kind) for algorithm in distinct(table, "algorithm") for kind in _ADVANTAGES]
    iterations = sorted(distinct(table, "iteration"))
    figure = style.new_figure(style.WIDTH if len(iterations) > 1 else style.NARROW, 0.9 + 1.5 * len(lines))
    panels = figure.subplots(len(lines), len(iterations), sharex=True, sharey="row", squeeze=False)
    marked = {"color": style.INK, "linewidth": 0.9, "linestyle": ":"}
    for row, (algorithm, kind) in zip(panels, lines, strict=True):
        for axes, iteration in zip(row, iterations, strict=True):
            axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=1, label="zero line")
            axes.axvline(experiment.timesteps, zorder=1, label="T", **marked)
            curves(axes, select(table, algorithm=algorithm, advantage=kind, iteration=iteration))
            style.quiet_grid(axes)
        row[0].set_ylabel(f"{experiment.label(algorithm)}, {_ADVANTAGES[kind]}\n{label}")
    for axes, iteration in zip(panels[0], iterations, strict=True):
        axes.set_title(f"iteration {iteration}")
    for axes in panels[-1]:
        axes.set_xlabel("pairs in an estimate")
        style.pairs_axis(axes)
    figure.suptitle(f"{distinct(table, 'env')[0]}, {what}")
    handles = [
        *(style.line_handle(one.label, **one.line(markersize=2.5, linewidth=1.2)) for one in series),
        band(experiment, of=""),
        style.line_handle(f"T = {experiment.timesteps:,} pairs", **marked),
    ]
    style.legend_below(figure, handles, columns=columns)
    return figure


def _curve(axes: Axes, rows: pd.DataFrame, column: str, name: str, series: SeriesStyle) -> None:
    style.curve(axes, rows, "pairs", series, column, marker=series.marker, markersize=2.5, linewidth=1.2, label=name)


def caption_cosines(experiment: Experiment) -> str:
    cosines = experiment[BaselineCosine]
    sizes = trajectories_at_t(cosines, experiment)
    return (
        "Figure 5 of the paper (figure 15 for other tasks). Mean pairwise cosine of "
        f"{cosines['repeats'].iloc[0]} independent gradient estimates from one policy, against the pairs in an "
        "estimate, with three baselines on the same streams: V*, fitted to the returns of this policy; the agent's own "
        "value net; zero. Inside GAE: the baseline takes the value net's place (zero: the discounted recorded "
        "return). Returns minus b(s): the discounted return minus the baseline. Lines: mean over "
        f"{agents_in(cosines)}. "
        f"{shaded(experiment.statistics, 'that mean')} An agent's own interval, over its estimates, is in the table. "
        f"Dotted: T = {experiment.timesteps:,} pairs"
        + (f", in which there are complete trajectories, mean: {sizes}." if sizes else ".")
    )


def caption_differences(experiment: Experiment) -> str:
    gains, statistics = experiment[AgentsDifference], experiment.statistics
    return (
        "Supplement to figure 5 of the paper: differences of the mean pairwise cosines, by baseline, on the same "
        "streams. Above zero, the better baseline makes gradient estimates agree more. Lines: mean over "
        f"{counted(gains['agents'].max(), 'agent')}, from {counted(gains['repeats'].max(), 'estimate')} in all. "
        "Shaded: "
        f"{statistics.confidence:.0%} interval, by resampling agents and within each its estimates, for both baselines "
        f"at once ({statistics.resamples} bootstrap resamples, or Student's t where wider)."
    )


COSINES = FigureSpec(
    "fig05_baselines",
    "gradient estimates by baseline",
    Section.VALUES,
    tables=(BaselineCosine,),
    plot=plot_cosines,
    caption=caption_cosines,
    paper=(PaperFigure(5, ("Walker2d",)), PaperFigure(15, ("Hopper", "Walker2d"))),
)
DIFFERENCES = FigureSpec(
    "fig05_differences",
    "what a better baseline adds",
    Section.VALUES,
    tables=(AgentsDifference,),
    plot=plot_differences,
    caption=caption_differences,
    near=5,
)
