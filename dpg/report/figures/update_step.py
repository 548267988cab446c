"""Agreement of whole updates over training (paper, fig. 12): `update_step/update_step.csv`."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dpg.report import style
from dpg.report.experiment import Experiment, distinct, select
from dpg.report.figures.parts import agents_and_mean, agents_in, band, common, marked, shaded, widen
from dpg.report.figures.spec import FigureSpec, PaperFigure
from dpg.tables.table import Section
from dpg.tables.update_step import UpdateAgreement

_PANELS = {"cosine": "cosine similarity of steps", "kl": "KL between updated policies (nats)"}


def plot(experiment: Experiment) -> Figure:
    """For one task: pairwise cosine of update steps, and pairwise KL of the policies that they lead to."""
    updates = experiment[UpdateAgreement]
    algorithms, iterations = distinct(updates, "algorithm"), distinct(updates, "iteration")
    figure = style.new_figure(style.WIDTH, 2.9)
    panels = figure.subplots(1, 2, sharex=True)
    for axes, (column, label) in zip(panels, _PANELS.items(), strict=True):
        for algorithm in algorithms:
            rows = select(updates, algorithm=algorithm)
            known = rows.dropna(subset=column).drop_duplicates("iteration")
            thick = {"linewidth": 1.4, **marked(known, experiment.style(algorithm).marker)}
            agents_and_mean(axes, rows, "iteration", column, experiment, {"linewidth": 0.5, "alpha": 0.4}, **thick)
        axes.set_xlabel("iteration")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        style.quiet_grid(axes)
    panels[0].axhline(0, color=style.FAINT, linewidth=0.6, zorder=1)
    panels[0].set_ylim(min(-0.1, 1.1 * updates["cosine"].min()), 1.03)
    panels[1].set_ylim(bottom=0)
    widen(panels[0], iterations)
    figure.suptitle(f"{distinct(updates, 'env')[0]}, updates from one policy against each other")
    color, _ = common(experiment, algorithms)
    handles = [
        *(style.line_handle(f"{s.label}, mean", **s.line(linewidth=1.4)) for s in map(experiment.style, algorithms)),
        style.line_handle("one agent (seed)", color=color, linewidth=0.5, alpha=0.6),
        band(experiment, color),
    ]
    style.legend_below(figure, handles, columns=4)
    return figure


def caption(experiment: Experiment) -> str:
    updates = experiment[UpdateAgreement]
    count, pairs = updates["updates"].iloc[0], updates["pairs"].iloc[0]
    unmoved = int(updates["unmoved"].sum())
    still = f" {unmoved} of {updates['updates'].sum():,} updates did not move and have no cosine." if unmoved else ""
    return (
        f"Figure 12 of the paper. From each snapshot {count} whole updates, each from {pairs:,} fresh pairs of its own "
        f"({updates['trajectories'].min():.1f} to {updates['trajectories'].max():.1f} complete trajectories, mean over "
        "updates). Left: mean pairwise cosine of the steps. Right: mean pairwise KL between the updated policies, over "
        f"states that the snapshot's policy visits. Thin: each of {agents_in(updates)}; thick: their "
        f"mean. {shaded(experiment.statistics, 'that mean')} An agent's own interval, over its updates, is in the "
        f"table.{still}"
    )


FIGURE = FigureSpec(
    "fig12_update_steps",
    "whole updates against each other",
    Section.GRADIENTS,
    tables=(UpdateAgreement,),
    plot=plot,
    caption=caption,
    paper=(PaperFigure(12),),
)
