"""What baselines buy (paper, fig. 5, 15): `data/tables/baselines/.../baselines.csv` and `agents.csv`."""

from collections.abc import Callable, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpg.report import style
from dpg.report.tables import distinct, over_agents, select
from dpg.runtime.schema import Statistics

NAMES = {"cosines": "fig05_baselines", "differences": "fig05_differences"}

# Dark to light, so that they can be told apart in grey, by marks as well.
BASELINES: Mapping[str, style.Look] = {
    "true value": style.Look("V*, the true value function", "#000000", "o", "solid"),
    "value net": style.Look("the agent's value net", "#2C7FB8", "s", (0, (5.0, 1.5))),
    "zero": style.Look("zero", "#A0A0A0", "^", (0, (1.4, 1.2))),
}
_PAIRS: Mapping[tuple[str, str], style.Look] = {
    ("true value", "value net"): style.Look("V* over the value net", "#000000", "o", "solid"),
    ("value net", "zero"): style.Look("the value net over zero", "#2C7FB8", "s", (0, (5.0, 1.5))),
}
_WAYS = {"gae": "inside GAE", "returns": "returns $-$ b(s)"}


@style.paper()
def draw_cosines(baselines: pd.DataFrame, timesteps: int, statistics: Statistics) -> Figure:
    """Figure 5 (and 15) for one task: cosine of gradient estimates with each other, by baseline."""

    def curves(axes: Axes, rows: pd.DataFrame) -> None:
        for name, look in BASELINES.items():
            mean = over_agents(select(rows, baseline=name), ["pairs"], "cosine", statistics)
            _curve(axes, mean.dropna(subset="mean"), "mean", name, look)

    figure = _draw(baselines, timesteps, "cosine similarity", curves)
    figure.suptitle(f"{distinct(baselines, 'env')[0]}, gradient estimates against each other, by baseline")
    style.legend_below(figure, _handles(list(BASELINES.values()), timesteps, statistics), columns=3)
    return figure


@style.paper()
def draw_differences(gains: pd.DataFrame, timesteps: int, statistics: Statistics) -> Figure:
    """What V* adds to the cosine over the value net, and the value net over zero, on the same streams."""

    def curves(axes: Axes, rows: pd.DataFrame) -> None:
        for (one, other), look in _PAIRS.items():
            mine = select(rows, baseline=one, other=other).dropna(subset="difference").sort_values("pairs")
            _curve(axes, mine, "difference", f"{one} over {other}", look)

    figure = _draw(gains, timesteps, "difference of cosines", curves)
    figure.suptitle(f"{distinct(gains, 'env')[0]}, what a better baseline adds to the cosine, on the same streams")
    style.legend_below(figure, _handles(list(_PAIRS.values()), timesteps, statistics), columns=4)
    return figure


def _draw(table: pd.DataFrame, timesteps: int, label: str, curves: Callable[[Axes, pd.DataFrame], None]) -> Figure:
    """Panels by algorithm and way of forming advantages (rows), and by checkpoint (columns)."""
    lines = [(algorithm, way) for algorithm in distinct(table, "algorithm") for way in _WAYS]
    iterations = sorted(distinct(table, "iteration"))
    figure = style.new_figure(style.WIDTH if len(iterations) > 1 else style.NARROW, 0.9 + 1.5 * len(lines))
    panels = figure.subplots(len(lines), len(iterations), sharex=True, sharey="row", squeeze=False)
    for row, (algorithm, way) in zip(panels, lines, strict=True):
        for axes, iteration in zip(row, iterations, strict=True):
            axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=1, label="zero line")
            axes.axvline(timesteps, color=style.INK, linewidth=0.9, linestyle=":", zorder=1, label="T")
            curves(axes, select(table, algorithm=algorithm, advantage=way, iteration=iteration))
            style.quiet_grid(axes)
        row[0].set_ylabel(f"{style.look(algorithm).label}, {_WAYS[way]}\n{label}")
    for axes, iteration in zip(panels[0], iterations, strict=True):
        axes.set_title(f"iteration {iteration}")
    for axes in panels[-1]:
        axes.set_xlabel("pairs in an estimate")
        style.pairs_axis(axes)
    return figure


def _curve(axes: Axes, rows: pd.DataFrame, column: str, name: str, look: style.Look) -> None:
    style.curve(axes, rows, "pairs", look, column, marker=look.marker, markersize=2.5, linewidth=1.2, label=name)


def _handles(looks: list[style.Look], timesteps: int, statistics: Statistics) -> list:
    return [
        *[
            style.line_handle(
                look.label, color=look.color, linestyle=look.dashes, marker=look.marker, markersize=2.5, linewidth=1.2
            )
            for look in looks
        ],
        style.band_handle(style.GREY, f"{statistics.confidence:.0%} interval"),
        style.line_handle(f"T = {timesteps:,} pairs", color=style.INK, linewidth=0.9, linestyle=":"),
    ]


def caption_cosines(baselines: pd.DataFrame, timesteps: int, statistics: Statistics) -> str:
    """What the figure shows, and from how much."""
    at_t = select(baselines, pairs=timesteps).groupby(["algorithm", "iteration"])["trajectories"].mean()
    sizes = "; ".join(f"{style.look(name).label}, iteration {i}: {at_t[name, i]:.1f}" for name, i in at_t.index)
    return (
        "Figure 5 of the paper (figure 15 for other tasks). Mean pairwise cosine of "
        f"{baselines['repeats'].iloc[0]} independent gradient estimates from one policy, against the pairs in an "
        "estimate, with three baselines on the same streams: V*, fitted to the returns of this policy; the agent's own "
        "value net; zero. Upper row: the baseline inside GAE (zero: the discounted return of what was recorded). "
        f"Lower row: the discounted return less the baseline. Lines: mean over {baselines['agent'].nunique()} agents. "
        f"Shaded: {statistics.confidence:.0%} interval of that mean, by resampling agents ({statistics.resamples} "
        "bootstrap resamples, or Student's t where wider); an agent's own, over its estimates, is in the table. "
        f"Dotted: T = {timesteps:,} pairs"
        + (f", in which there are complete trajectories, mean: {sizes}." if sizes else ".")
    )


def caption_differences(gains: pd.DataFrame, statistics: Statistics) -> str:
    """What the figure shows, and from how much."""
    return (
        "To figure 5 of the paper: differences of the mean pairwise cosines, by baseline, on the same streams. Above "
        "zero, the better baseline makes gradient estimates agree more. Lines: mean over "
        f"{gains['agents'].max()} agents, from {gains['repeats'].max()} estimates in all. Shaded: "
        f"{statistics.confidence:.0%} interval, by resampling agents and within each its estimates, for both baselines "
        f"at once ({statistics.resamples} bootstrap resamples, or Student's t where wider)."
    )
