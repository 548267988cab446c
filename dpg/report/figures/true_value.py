"""Quality of the fitted true value function (paper, sec. 2.2): `true_value`."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from scipy import stats

from dpg.report import style
from dpg.report.aggregate import over_agents
from dpg.report.experiment import Experiment, distinct, select
from dpg.report.figures.baselines import BASELINES
from dpg.report.figures.parts import agents_in, band, shaded
from dpg.report.figures.spec import FigureSpec
from dpg.report.summaries import state_errors
from dpg.report.wording import counted, span
from dpg.runtime.schema import Statistics
from dpg.tables.table import Section
from dpg.tables.true_value import FitEpoch, FitQuality, StateErrors, StateValue

NETS = {name: BASELINES[name] for name in ("true value", "value net")}
_COLUMNS = {"true value": "explained_variance", "value net": "value_net_explained_variance"}


def plot_fit(experiment: Experiment) -> Figure:
    """The loss that stops the fit, the share of held-out returns that V* explains, and its error at set states."""
    fits, losses, errors = experiment[FitQuality], experiment[FitEpoch], experiment[StateErrors]
    statistics = experiment.statistics
    algorithms = distinct(fits, "algorithm")
    figure = style.new_figure(style.WIDTH, 0.9 + 1.75 * len(algorithms))
    panels = figure.subplots(len(algorithms), 3, squeeze=False)
    for row, algorithm in zip(panels, algorithms, strict=True):
        loss, explained, error = row
        _losses(loss, select(losses, algorithm=algorithm))
        mine, states = (select(table, algorithm=algorithm) for table in (fits, errors))
        for name, column in _COLUMNS.items():
            _over_training(explained, over_agents(mine, ["iteration"], column, statistics), name)
            _over_training(error, state_errors(select(states, net=name), ["iteration"], statistics), name)
        if (states["squared_error"] > 0).any():
            style.log_scale(error, base=2)
            error.yaxis.set_major_locator(LogLocator(base=2, numticks=8))
            error.yaxis.set_minor_locator(NullLocator())
        else:
            error.text(0.5, 0.5, "no rollouts from states", transform=error.transAxes, ha="center", color=style.GREY)
        # Strongly negative values would flatten the rest.
        low = mine[list(_COLUMNS.values())].min().fillna(0.0).min()
        explained.set_ylim(max(-1.0, min(0.0, 1.1 * float(low))), 1.03)
        loss.set_ylabel(f"{experiment.label(algorithm)}\nstopping loss (variances)")
        explained.set_ylabel("explained variance")
        error.set_ylabel(r"$|V - v|\,/\,|v|$ at states, r.m.s.")
    for axes, title in zip(
        panels[0], ("fit of V*", "on streams held out", "against rollouts from states"), strict=True
    ):
        axes.set_title(title)
    for axes, label in zip(panels[-1], ("epoch", "iteration", "iteration"), strict=True):
        axes.set_xlabel(label)
    figure.suptitle(f"{distinct(fits, 'env')[0]}, the true value function and the value net")
    handles = [style.line_handle(net.label, **net.line(markersize=3, linewidth=1.2)) for net in NETS.values()]
    iterations = sorted(distinct(losses, "iteration"))
    shades = [
        style.line_handle(f"fit at iteration {i}", **shade.line(marker="", linewidth=1.0))
        for i, shade in zip(iterations, style.sequence(len(iterations)), strict=True)
    ]
    style.legend_below(figure, [*handles, band(experiment), *shades], columns=4)
    return figure


def _losses(axes: Axes, losses: pd.DataFrame) -> None:
    """Draw every agent's loss on the stopping streams, shaded by iteration, with a dot at the epoch that was kept."""
    iterations = sorted(distinct(losses, "iteration"))
    for iteration, shade in zip(iterations, style.sequence(len(iterations)), strict=True):
        for agent, line in select(losses, iteration=iteration).groupby("agent"):
            options = shade.line(marker="", linewidth=0.7, label=f"iteration={iteration}, agent={agent}")
            axes.plot(line["epoch"], line["stopping_loss"], **options)
            kept = line[line["stopping_loss"] == line["stopping_loss"].min()].head(1)
            axes.plot(kept["epoch"], kept["stopping_loss"], color=shade.color, marker="o", markersize=2, label="kept")
    style.log_scale(axes)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.quiet_grid(axes)


def _over_training(axes: Axes, mean: pd.DataFrame, name: str) -> None:
    """Draw a net's mean over agents, with its interval."""
    net, rows = NETS[name], mean.dropna(subset="mean")
    style.curve(axes, rows, "iteration", net, marker=net.marker, markersize=3, linewidth=1.2, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.quiet_grid(axes)


def plot_states(experiment: Experiment) -> Figure:
    """Values of states by the two nets, against the mean return of rollouts from them; one column per checkpoint."""
    states, statistics = experiment[StateValue], experiment.statistics
    algorithms, iterations = distinct(states, "algorithm"), sorted(distinct(states, "iteration"))
    figure = style.new_figure(style.WIDTH if len(iterations) > 1 else style.NARROW, 0.9 + 1.7 * len(algorithms))
    panels = figure.subplots(len(algorithms), len(iterations), squeeze=False)
    for row, algorithm in zip(panels, algorithms, strict=True):
        for axes, iteration in zip(row, iterations, strict=True):
            _states(axes, select(states, algorithm=algorithm, iteration=iteration), statistics)
        row[0].set_ylabel(f"{experiment.label(algorithm)}\nV(s) (training reward)")
    for axes, iteration in zip(panels[0], iterations, strict=True):
        axes.set_title(f"iteration {iteration}")
    for axes in panels[-1]:
        axes.set_xlabel("mean of rollouts from s")
    figure.suptitle(f"{distinct(states, 'env')[0]}, states that were set in the simulator")
    error = f"{statistics.confidence:.0%} interval of the rollouts"
    handles = [
        *(style.line_handle(net.label, **net.line(linestyle="none", **_face(name))) for name, net in NETS.items()),
        style.line_handle(error, color=style.GREY, linewidth=0.6),
        style.line_handle("V(s) = mean", color=style.FAINT, linewidth=0.8),
    ]
    style.legend_below(figure, handles, columns=4)
    return figure


def _states(axes: Axes, rows: pd.DataFrame, statistics: Statistics) -> None:
    known = rows.dropna(subset="rollout_mean")
    axes.locator_params(nbins=4)
    if known.empty:
        axes.text(0.5, 0.5, "no rollouts\nfrom states", transform=axes.transAxes, ha="center", color=style.GREY)
        return
    columns = {"true value": "true_value", "value net": "value_net"}
    values = known[["rollout_mean", *columns.values()]]
    ends = np.array([values.to_numpy().min(), values.to_numpy().max()])
    axes.plot(ends, ends, color=style.FAINT, linewidth=0.8, zorder=1, label="equal")
    reach = stats.t.ppf((1 + statistics.confidence) / 2, known["rollouts"] - 1) * known["rollout_se"]
    for name, column in columns.items():
        net = NETS[name]
        x, y = known["rollout_mean"].to_numpy(), known[column].to_numpy()
        axes.errorbar(x, y, xerr=np.asarray(reach), fmt="none", ecolor=net.color, elinewidth=0.5, alpha=0.5)
        axes.plot(x, y, label=name, **net.line(linestyle="none", **_face(name)))


def _face(name: str) -> dict[str, Any]:
    """Markers: filled for V*, open for the value net, which is drawn over it."""
    face = NETS[name].color if name == "true value" else "white"
    return {"markersize": 3, "markerfacecolor": face, "markeredgewidth": 0.7}


def caption_fit(experiment: Experiment) -> str:
    fits, errors = experiment[FitQuality], experiment[StateErrors]
    rollouts = errors["rollouts"].max()
    states = (
        f"{counted(errors['states'].max(), 'state')} per snapshot, {counted(rollouts, 'rollout')} from each; "
        "their own noise is subtracted, and a point is missing where nothing is left"
        if rollouts
        else "this task cannot be put into a state"
    )
    return (
        "Supplement to figure 5 of the paper: quality of V*. Left: squared error on the streams that stop the fit, in "
        "variances of the fitted returns, by epoch, for every agent; the dot marks the epoch that is kept. Middle: "
        "share of the variance of returns on held-out streams that V* and the agent's value net explain (no net "
        "explains what chance adds to a return after its state). Right: error of both nets against the mean of fresh "
        f"rollouts from states that are set in the simulator ({states}). V* is fitted to {span(fits['pairs'])} "
        f"pairs, stopped by {span(fits['stopping_pairs'])} and scored on {span(fits['heldout_pairs'])} "
        f"({counted(fits['heldout_trajectories'], 'complete trajectory')}). "
        f"Lines: mean over {agents_in(fits)} (right: of the mean squares, the root taken last). "
        f"{shaded(experiment.statistics, 'that mean')}"
    )


def caption_states(experiment: Experiment) -> str:
    states = experiment[StateValue]
    per_snapshot = states.groupby(["algorithm", "agent", "iteration"]).size().max()
    rollouts = states["rollouts"].max()
    if not rollouts:
        return (
            "Supplement to figure 5 of the paper: values at states. This task cannot be put into a state: there are no "
            "rollouts."
        )
    return (
        "Supplement to figure 5 of the paper: a Monte Carlo check without a fit. A point is a state of a stream, set "
        "in the simulator: its value by V* and by the agent's value net, against the mean discounted return of "
        f"{counted(rollouts, 'fresh rollout')} from it, {counted(per_snapshot, 'state')} for each of "
        f"{agents_in(states)}. "
        f"Bars: {experiment.statistics.confidence:.0%} interval of that mean (Student's t over rollouts). "
        f"{states['cut'].sum():,} of {states['rollouts'].sum():,} rollouts reached the horizon, which leaves out less "
        "than 1% of a return."
    )


FIT = FigureSpec(
    "fig05_true_value",
    "fit of the true value function",
    Section.VALUES,
    tables=(FitQuality, FitEpoch, StateErrors),
    plot=plot_fit,
    caption=caption_fit,
    near=5,
)
STATES = FigureSpec(
    "fig05_states",
    "values at states that are set in the simulator",
    Section.VALUES,
    tables=(StateValue,),
    plot=plot_states,
    caption=caption_states,
    near=5,
)
