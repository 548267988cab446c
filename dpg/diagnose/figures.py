"""Figures of findings: evidence in, a matplotlib `Figure` out, in the report's style (`style.paper`).

The docstring of each is its caption on the page.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from dpg.diagnose.evidence import Evidence, layer_shares, scale_in_pairs
from dpg.report import style

BLUE, RED, SAND = "#004488", "#BB5566", "#DDAA33"  # of the report's scheme
FULL, HEIGHT = 5.4, 2.3  # inches


def panel(width: float = FULL, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """A figure of one panel; sizes in inches."""
    figure = style.new_figure(width, height)
    return figure, figure.subplots()


def returns(evidence: Evidence) -> Figure:
    """Return of every episode: fresh ones, and those that training recorded. The line is the mean."""
    figure, axes = panel()
    groups = [(f"fresh, {actions}", each.return_[0], BLUE) for actions, each in evidence.returns.items()]
    groups += [(f"{record.what.split(',')[0]}, {record.actions}", record.returns, SAND) for record in evidence.records]
    rng = np.random.default_rng(0)
    for row, (_, values, color) in enumerate(groups):
        axes.scatter(values, row + rng.uniform(-0.22, 0.22, len(values)), s=9, color=color, alpha=0.55, linewidths=0)
        axes.plot([values.mean()] * 2, [row - 0.36, row + 0.36], color=style.INK, linewidth=1.4)
    axes.set_yticks(range(len(groups)), [f"{name} ({len(values)})" for name, values, _ in groups])
    axes.invert_yaxis()
    axes.set_xlabel("return of an episode; the line is the mean")
    style.quiet_grid(axes, "x")
    return figure


def normalizer(evidence: Evidence) -> Figure:
    """Mean and one standard deviation of every observation as the networks see it; in the band, as they expect it."""
    sums = evidence.episodes
    total = sums.pairs.sum()
    mean = sums.z.sum(axis=0) / total
    std = np.sqrt(np.maximum(sums.z_squared.sum(axis=0) / total - mean**2, 0))
    figure, axes = panel()
    x = np.arange(len(mean))
    axes.axhspan(-1, 1, color=style.FAINT, alpha=0.35, linewidth=0)
    axes.errorbar(x, mean, yerr=std, fmt="o", color=BLUE, elinewidth=1.2, markersize=3)
    axes.set(xlabel="observation", ylabel="normalised: mean, one deviation")
    axes.set_title("band: what the stored normaliser expects", loc="right", fontsize=6.5, color=style.GREY)
    style.quiet_grid(axes)
    return figure


def values(evidence: Evidence) -> Figure:
    """The value net against the mean of rollouts, with one standard error; a dot per state, the line is equality."""
    found = evidence.states
    assert found is not None
    mean = found.mean
    figure, axes = panel(3.2, 3.0)
    ends = [min(mean.min(), found.value.min()), max(mean.max(), found.value.max())]
    margin = 0.05 * (ends[1] - ends[0]) or 1.0
    ends = [ends[0] - margin, ends[1] + margin]
    axes.plot(ends, ends, color=style.GREY, linewidth=0.8)
    axes.errorbar(mean, found.value, xerr=found.error, fmt="o", color=BLUE, elinewidth=0.8, markersize=3, alpha=0.8)
    axes.set(xlim=ends, ylim=ends, xlabel="true value: mean of rollouts, one standard error", ylabel="value net")
    return figure


def agreement(evidence: Evidence) -> Figure:
    """Cosine of two gradient estimates, and of one with the true gradient, by their pairs. Shaded: 95% intervals."""
    scale, batch = scale_in_pairs(evidence), evidence.snapshot.recipe.batch_pairs
    figure, axes = panel()
    known = [value for value in scale if np.isfinite(value) and value > 0]
    middle = known[0] if known else batch
    pairs = np.geomspace(batch / 10, 100 * max(batch, middle), 200)

    def cosine(noise_pairs: float) -> np.ndarray:
        return 1 / (1 + noise_pairs / pairs) if np.isfinite(noise_pairs) else np.zeros(len(pairs))

    for power, color, label in ((1.0, BLUE, "of two estimates"), (0.5, RED, "of one with the true gradient")):
        low, high = cosine(scale.high) ** power, cosine(max(scale.low, 0.0)) ** power
        axes.fill_between(pairs, low, high, color=color, alpha=style.BAND, linewidth=0)
        axes.plot(pairs, cosine(scale.mean) ** power, color=color, label=label)
    axes.axvline(batch, color=style.INK, linestyle=":", linewidth=1)
    axes.annotate(
        f"batch: {batch:,}", (batch, 1.02), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=6.5
    )
    axes.set(xscale="log", ylim=(0, 1), yticks=[0, 0.1, 0.5, 0.7, 0.9, 1])
    axes.set(xlabel="pairs in an estimate", ylabel="cosine, from the noise scale")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    style.quiet_grid(axes)
    return figure


def layers(evidence: Evidence) -> Figure:
    """Share of every layer in the squared gradient, and in its noise."""
    rows = layer_shares(evidence)
    figure, axes = panel(height=0.5 + 0.38 * len(rows))
    y = np.arange(len(rows))
    for offset, index, color, label in ((-0.18, 1, BLUE, "squared gradient"), (0.18, 2, SAND, "noise")):
        axes.barh(y + offset, [row[index] for row in rows], 0.34, color=color, label=label)
    axes.set_yticks(y, [row[0] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("share of the whole; noise may make one negative")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    style.quiet_grid(axes, "x")
    return figure


def updates(evidence: Evidence) -> Figure:
    """What each update changes. Left: the return, with one standard error. Right: the surrogate on fresh pairs."""
    gains = evidence.updates
    assert gains is not None
    figure = style.new_figure(FULL, HEIGHT)
    left, right = figure.subplots(1, 2)
    reward, error = gains.difference.mean(axis=1), stats.sem(gains.difference, axis=-1)
    left.errorbar(gains.heldout_gain, reward, yerr=error, fmt="o", color=BLUE, elinewidth=0.8, markersize=3)
    left.axhline(0, color=style.GREY, linewidth=0.8)
    left.axvline(0, color=style.GREY, linewidth=0.8)
    left.set(xlabel="surrogate's gain, held-out batch", ylabel="change of the return")
    left.ticklabel_format(axis="x", scilimits=(-5, 5))
    left.xaxis.set_major_locator(MaxNLocator(4))
    right.scatter(gains.own_gain, gains.heldout_gain, s=10, color=BLUE)
    ends = [min(0.0, gains.own_gain.min()), gains.own_gain.max()]
    right.plot(ends, ends, color=style.GREY, linewidth=0.8)
    right.axhline(0, color=style.GREY, linewidth=0.8)
    right.xaxis.set_major_locator(MaxNLocator(4))
    right.set(xlabel="surrogate's gain, own batch", ylabel="surrogate's gain, held-out batch")
    return figure
