"""Training curves (paper, fig. 9): `train/history.csv` and `checkpoint/evaluation.csv`.

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
from dpg.report.aggregate import over_agents
from dpg.report.experiment import Experiment, distinct, select
from dpg.report.figures.parts import agents_and_mean, band, common, shaded
from dpg.report.figures.spec import FigureSpec, PaperFigure
from dpg.report.wording import counted
from dpg.tables.checkpoint import Evaluation
from dpg.tables.table import Section
from dpg.tables.training import History


def plot(experiment: Experiment) -> Figure:
    """Return against pairs; one panel per task, a colour and line style for each algorithm."""
    history = experiment[History]
    envs, algorithms = distinct(history, "env"), distinct(history, "algorithm")
    figure = style.new_figure(style.WIDTH if len(envs) > 1 else style.NARROW, 2.75)
    panels = figure.subplots(1, len(envs), squeeze=False)[0]
    thin = {"linewidth": 0.4, "alpha": 0.3}
    for axes, env in zip(panels, envs, strict=True):
        for algorithm in algorithms:
            rows = select(history, env=env, algorithm=algorithm)
            agents_and_mean(axes, rows, "pairs", "mean_return", experiment, thin, linewidth=1.3)
        for position, algorithm in enumerate(algorithms):
            _evaluation(axes, experiment.where(env=env, algorithm=algorithm), position)
        axes.set_title(env)
        axes.set_xlabel("state-action pairs, per agent")
        style.pairs_axis(axes)
        style.quiet_grid(axes)
    panels[0].set_ylabel("episode return (reward units)")
    style.legend_below(figure, _handles(experiment, algorithms), columns=3)
    return figure


def _evaluation(axes: Axes, cell: Experiment, position: int) -> None:
    """Draw returns of whole episodes with sampled actions, at the pairs of the same iteration's batch."""
    history, evaluation = cell[History], cell[Evaluation]
    series = cell.style(cell.key["algorithm"])
    points = over_agents(select(evaluation, actions="sampled"), ["iteration"], "mean_return", cell.statistics)
    if points.empty:  # the layout would leave room for bars without ends
        return
    at: pd.Series = points["iteration"].map(history.drop_duplicates("iteration").set_index("iteration")["pairs"])
    # Algorithms are studied at the same iterations: a small shift keeps their markers apart.
    shift = position * 0.012 * float(history["pairs"].max())
    span = np.nan_to_num(np.stack([points["mean"] - points["low"], points["high"] - points["mean"]]))
    drawn = axes.errorbar(
        at + shift,
        points["mean"],
        yerr=np.clip(span, 0, None),
        fmt=series.marker,
        markersize=4.5,
        markerfacecolor="white",
        markeredgewidth=1.0,
        color=series.color,
        elinewidth=0.9,
        capsize=1.8,
        capthick=0.9,
        zorder=5,
        clip_on=False,
        label="evaluation",
    )
    for stems in drawn.lines[2]:
        stems.set_path_effects([withStroke(linewidth=2.6, foreground="white")])


def _handles(experiment: Experiment, algorithms: list[str]) -> list:
    color, marker = common(experiment, algorithms)
    each = [experiment.style(algorithm) for algorithm in algorithms]
    several = len(each) > 1
    named = [style.line_handle(one.label, **one.line(marker="", linewidth=1.5)) for one in each if several]
    mean = "mean over agents" if several else f"{each[0].label}, mean over agents"
    evaluation = {"linestyle": "none", "marker": marker or "o", "markerfacecolor": "white"}
    return [
        *named,
        style.line_handle(mean, color=color, linewidth=1.5),
        style.line_handle("one agent", color=color, linewidth=0.5, alpha=0.6),
        band(experiment, color),
        style.line_handle("evaluation on whole episodes", color=color, **evaluation),
    ]


def caption(experiment: Experiment) -> str:
    history, evaluation = experiment[History], experiment[Evaluation]
    cell = ["env", "algorithm"]
    agents = history.groupby(cell)["agent"].nunique()
    episodes = select(evaluation, actions="sampled").groupby(cell)["episodes"].first()
    last = select(history, iteration=history["iteration"].max()).groupby(cell)["num_episodes"].mean()
    sizes = "; ".join(
        f"{env}, {experiment.label(algorithm)}: {counted(agents[env, algorithm], 'agent')}, "
        f"{counted(episodes.get((env, algorithm), 0), 'evaluation episode')} per studied snapshot, "
        f"{last[env, algorithm]:.1f} episodes in the last batch"
        for env, algorithm in agents.index
    )
    return (
        "Figure 9 of the paper. Mean return of the episodes that ended in each iteration's batch, against the pairs "
        "that an agent has collected: thin lines are agents, the thick line is their mean. "
        f"{shaded(experiment.statistics)} An iteration in which no episode of an agent ended is left out for that "
        "agent. Markers: mean return of whole episodes with sampled actions from the studied snapshots, with the "
        f"same kind of interval over agents; they lack the curve's bias towards short episodes. {sizes}."
    )


FIGURE = FigureSpec(
    "fig09_rewards",
    "rewards over training",
    Section.REWARDS,
    tables=(History, Evaluation),
    plot=plot,
    caption=caption,
    paper=(PaperFigure(9),),
    per=(),
)
