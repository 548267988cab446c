"""Training curves (paper, fig. 9): `data/tables/train` and `data/tables/checkpoint`.

The curve counts the episodes that ended inside an iteration's batch, as the paper does: long episodes that the batch's
end cuts off are missing from it. The evaluation at the studied snapshots runs whole episodes and has no such bias, so
both are shown.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from dpg.report import style
from dpg.report.tables import distinct, over_agents, select
from dpg.runtime.schema import Statistics

NAME = "fig09_rewards"


@style.paper()
def draw(history: pd.DataFrame, evaluation: pd.DataFrame, statistics: Statistics) -> Figure:
    """Figure 9: return against pairs; a panel a task, a colour and line style an algorithm."""
    envs, algorithms = distinct(history, "env"), distinct(history, "algorithm")
    figure = style.new_figure(style.WIDTH if len(envs) > 1 else style.NARROW, 2.75)
    panels = figure.subplots(1, len(envs), squeeze=False)[0]
    for axes, env in zip(panels, envs, strict=True):
        for algorithm in algorithms:
            _curve(axes, select(history, env=env, algorithm=algorithm), statistics)
        for position, algorithm in enumerate(algorithms):
            cell = {"env": env, "algorithm": algorithm}
            _evaluation(axes, select(history, **cell), select(evaluation, **cell), statistics, position)
        axes.set_title(env)
        axes.set_xlabel("state-action pairs, per agent")
        style.pairs_axis(axes)
        style.quiet_grid(axes)
    panels[0].set_ylabel("episode return (reward units)")
    style.legend_below(figure, _handles(algorithms, statistics), columns=3)
    return figure


def _curve(axes: Axes, cell: pd.DataFrame, statistics: Statistics) -> None:
    """A thin line an agent, the mean over agents, and its interval."""
    look = style.look(cell["algorithm"].iloc[0])
    for agent, rows in cell.dropna(subset="mean_return").groupby("agent"):
        axes.plot(
            rows["pairs"], rows["mean_return"], color=look.color, linewidth=0.4, alpha=0.3, label=f"agent={agent}"
        )
    curve = over_agents(cell, ["pairs"], "mean_return", statistics).dropna(subset="mean")
    style.curve(axes, curve, "pairs", look, linewidth=1.3, label="mean")


def _evaluation(
    axes: Axes, history: pd.DataFrame, evaluation: pd.DataFrame, statistics: Statistics, position: int
) -> None:
    """Returns of whole episodes with sampled actions, where the same iteration's batch lies on the axis."""
    look = style.look(history["algorithm"].iloc[0])
    points = over_agents(select(evaluation, actions="sampled"), ["iteration"], "mean_return", statistics)
    at = points["iteration"].map(history.drop_duplicates("iteration").set_index("iteration")["pairs"])
    # Algorithms are studied at the same iterations: a small shift keeps their markers apart.
    shift = position * 0.012 * float(history["pairs"].max())
    span = np.nan_to_num(np.stack([points["mean"] - points["low"], points["high"] - points["mean"]]))
    drawn = axes.errorbar(
        at + shift,
        points["mean"],
        yerr=np.clip(span, 0, None),
        fmt=look.marker,
        markersize=4.5,
        markerfacecolor="white",
        markeredgewidth=1.0,
        color=look.color,
        elinewidth=0.9,
        capsize=1.8,
        capthick=0.9,
        zorder=5,
        clip_on=False,
        label="evaluation",
    )
    for stems in drawn.lines[2]:
        stems.set_path_effects([withStroke(linewidth=2.6, foreground="white")])


def _handles(algorithms: list[str], statistics: Statistics) -> list:
    looks = [style.look(algorithm) for algorithm in algorithms]
    only = looks[0].color if len(looks) == 1 else style.GREY
    marker = looks[0].marker if len(looks) == 1 else "o"
    handles = []
    if len(looks) > 1:
        handles = [
            style.line_handle(look.label, color=look.color, linestyle=look.dashes, linewidth=1.5) for look in looks
        ]
    return [
        *handles,
        style.line_handle(
            looks[0].label + ", mean over agents" if len(looks) == 1 else "mean over agents", color=only, linewidth=1.5
        ),
        style.line_handle("one agent", color=only, linewidth=0.5, alpha=0.6),
        style.band_handle(only, f"{statistics.confidence:.0%} interval over agents"),
        style.line_handle(
            "evaluation on whole episodes", color=only, linestyle="none", marker=marker, markerfacecolor="white"
        ),
    ]


def caption(history: pd.DataFrame, evaluation: pd.DataFrame, statistics: Statistics) -> str:
    """What figure 9 shows, and from how much."""
    agents = history.groupby(["env", "algorithm"])["agent"].nunique()
    episodes = select(evaluation, actions="sampled").groupby(["env", "algorithm"])["episodes"].first()
    last = (
        history[history["iteration"] == history["iteration"].max()].groupby(["env", "algorithm"])["num_episodes"].mean()
    )
    sizes = "; ".join(
        f"{env}, {style.look(algorithm).label}: {agents[env, algorithm]} agents, {episodes[env, algorithm]} "
        f"evaluation episodes an agent, {last[env, algorithm]:.1f} episodes in the last batch"
        for env, algorithm in agents.index
    )
    return (
        "Figure 9 of the paper. Mean return of the episodes that ended in each iteration's batch, against the pairs "
        "that an agent has collected: a thin line an agent, a thick line the mean over agents. Shaded: "
        f"{statistics.confidence:.0%} interval of the mean, by resampling agents ({statistics.resamples} bootstrap "
        "resamples, or Student's t where wider). "
        "An iteration in which no episode of an agent ended is left out for that "
        "agent. Markers: mean return of whole episodes with sampled actions from the studied snapshots, with the "
        f"same kind of interval over agents; they lack the curve's bias towards short episodes. {sizes}."
    )
