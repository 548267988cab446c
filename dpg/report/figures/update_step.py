"""Agreement of whole updates over training (paper, fig. 12): `data/tables/update_step`."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dpg.report import style
from dpg.report.tables import distinct, over_agents, select
from dpg.runtime.schema import Statistics

NAME = "fig12_update_steps"

_PANELS = {
    "cosine": "cosine similarity of steps",
    "kl": "KL between updated policies (nats)",
}


@style.paper()
def draw(updates: pd.DataFrame, statistics: Statistics) -> Figure:
    """Figure 12 for one task: pairwise cosine of update steps, and pairwise KL of the policies that they lead to."""
    algorithms = distinct(updates, "algorithm")
    figure = style.new_figure(style.WIDTH, 2.9)
    panels = figure.subplots(1, 2, sharex=True)
    for axes, (column, label) in zip(panels, _PANELS.items(), strict=True):
        for algorithm in algorithms:
            _curves(axes, select(updates, algorithm=algorithm), column, statistics)
        axes.set_xlabel("iteration")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        style.quiet_grid(axes)
    panels[0].axhline(0, color=style.FAINT, linewidth=0.6, zorder=1)
    panels[0].set_ylim(min(-0.1, 1.1 * updates["cosine"].min()), 1.03)
    panels[1].set_ylim(bottom=0)
    iterations = distinct(updates, "iteration")
    if len(iterations) == 1:
        panels[0].set_xlim(iterations[0] - 1, iterations[0] + 1)
    figure.suptitle(f"{distinct(updates, 'env')[0]}, updates from one policy against each other")
    style.legend_below(figure, _handles(algorithms, statistics), columns=4)
    return figure


def _curves(axes: Axes, rows: pd.DataFrame, column: str, statistics: Statistics) -> None:
    """Every agent, and their mean with its interval."""
    look = style.look(rows["algorithm"].iloc[0])
    for agent, line in rows.dropna(subset=column).groupby("agent"):
        axes.plot(line["iteration"], line[column], color=look.color, linewidth=0.5, alpha=0.4, label=f"agent={agent}")
    mean = over_agents(rows, ["iteration"], column, statistics).dropna(subset="mean")
    sparse = max(1, len(mean) // 12)
    style.curve(axes, mean, "iteration", look, marker=look.marker, linewidth=1.4, markevery=sparse, label="mean")


def _handles(algorithms: list[str], statistics: Statistics) -> list:
    looks = [style.look(algorithm) for algorithm in algorithms]
    color = looks[0].color if len(looks) == 1 else style.GREY
    return [
        *[
            style.line_handle(
                f"{look.label}, mean", color=look.color, marker=look.marker, linestyle=look.dashes, linewidth=1.4
            )
            for look in looks
        ],
        style.line_handle("one agent (seed)", color=color, linewidth=0.5, alpha=0.6),
        style.band_handle(color, f"{statistics.confidence:.0%} interval over agents"),
    ]


def caption(updates: pd.DataFrame, statistics: Statistics) -> str:
    """What the figure shows, and from how much."""
    count, pairs = updates["updates"].iloc[0], updates["pairs"].iloc[0]
    unmoved = int(updates["unmoved"].sum())
    still = f" {unmoved} of {updates['updates'].sum():,} updates did not move and have no cosine." if unmoved else ""
    return (
        f"Figure 12 of the paper. From each snapshot {count} whole updates, each from {pairs:,} fresh pairs of its own "
        f"({updates['trajectories'].min():.1f} to {updates['trajectories'].max():.1f} complete trajectories, mean over "
        "updates). Left: mean pairwise cosine of the steps. Right: mean pairwise KL between the updated policies, over "
        f"states that the snapshot's policy visits. Thin: each of {updates['agent'].nunique()} agents; thick: their "
        f"mean. Shaded: {statistics.confidence:.0%} interval of that mean, by resampling agents "
        f"({statistics.resamples} bootstrap resamples, or Student's t where wider); an agent's own interval, over its "
        f"updates, is in the table.{still}"
    )
