"""Claims G1 to G6: how good gradient estimates are (paper, section 2.1 and figures 1, 2, 10 to 12)."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import special

from dpg.numerics.statistics import Interval
from dpg.report.claims import rules
from dpg.report.claims.cells import (
    NO_LATER,
    Cell,
    agents_mean,
    cells,
    change,
    improvement,
    inequality,
    lacking,
    later,
    span,
)
from dpg.report.claims.verdicts import Finding, Part
from dpg.report.style import look
from dpg.report.tables import Tables, distinct, select, two_sample_interval
from dpg.runtime.ids import family
from dpg.runtime.schema import Statistics

HARD, EASIER = "Humanoid", ("Hopper", "Walker2d")
AT_T = "pairwise cosine at {:,} pairs"


def poor_agreement(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """G1, in every cell."""

    def decide(cell: Cell, rows: pd.DataFrame) -> Finding:
        part = inequality(
            f"mean {AT_T.format(timesteps)}",
            agents_mean(rows, "cosine"),
            "below",
            rules.NOISY,
            statistics,
            **_sizes(rows),
        )
        return Finding(str(cell), (part, improvement(cell.of(tables.evaluation), statistics)))

    return _at_t(tables, timesteps, "each other", decide)


def falling_agreement(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """G2, in every cell."""
    found: list[Finding] = []
    for cell in cells(tables.history):
        rows = _similarity(cell, tables, timesteps, "each other")
        if span(rows, "iteration") < 2:
            found.append(lacking(cell, f"needs two studied snapshots with estimates of {timesteps:,} pairs"))
            continue
        quantity = f"change of the {AT_T.format(timesteps)}"
        part = inequality(quantity, change(rows, "cosine"), "below", 0.0, statistics, **_sizes(rows))
        found.append(Finding(str(cell), (part,)))
    return found


def harder_tasks(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """G3, for every algorithm."""
    families = {family(env): env for env in distinct(tables.history, "env")}
    absent = [name for name in (*EASIER, HARD) if name not in families]
    if absent:
        needed = f"needs envs Hopper, Walker2d and Humanoid; params has {', '.join(families.values())}"
        return [lacking("all tasks", needed)]
    found: list[Finding] = []
    for algorithm in distinct(tables.history, "algorithm"):
        means = {
            name: agents_mean(
                later(_similarity(Cell(families[name], algorithm), tables, timesteps, "each other")), "cosine"
            )
            for name in (*EASIER, HARD)
        }
        if any(values.empty for values in means.values()):
            found.append(lacking(look(algorithm).label, NO_LATER))
            continue
        parts = [difference(means[HARD], means[name], name, timesteps, statistics) for name in EASIER]
        found.append(Finding(look(algorithm).label, tuple(parts)))
    return found


def difference(hard: pd.Series, easier: pd.Series, name: str, timesteps: int, statistics: Statistics) -> Part:
    """The hard task's mean over agents minus that of an easier one."""
    first, second = hard.to_numpy(float), easier.to_numpy(float)

    def gap(one: Int[np.ndarray, "B N"], other: Int[np.ndarray, "B M"]) -> Float[np.ndarray, " B"]:
        return first[one].mean(axis=-1) - second[other].mean(axis=-1)

    interval = two_sample_interval(gap, len(first), len(second), statistics)
    sizes = {f"agents on {HARD}": len(hard), f"agents on {name}": len(easier)}
    return Part(f"{AT_T.format(timesteps)}, {HARD} minus {name}", interval, "below", 0.0, sizes)


def poor_correlation(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """G4, in every cell."""

    def decide(cell: Cell, rows: pd.DataFrame) -> Finding:
        every = later(select(cell.of(tables.similarity), against="true"))
        more = min((size for size in distinct(every, "pairs") if size >= rules.SEVERAL * timesteps), default=None)
        if more is None:
            return lacking(cell, f"needs gradient.sizes of at least {rules.SEVERAL} T = {rules.SEVERAL * timesteps:,}")
        noise = later(cell.of(tables.noise))
        reliable = noise.loc[noise["reliability"] >= rules.RELIABLE, ["agent", "iteration"]]
        lost = len(noise) - len(reliable)
        parts = tuple(
            inequality(
                f"corrected cosine with the true gradient at {size:,} pairs",
                agents_mean(counted, "corrected_cosine"),
                "below",
                edge,
                statistics,
                **_sizes(at),
            )
            for size, edge, at in (
                (timesteps, rules.NOISY_TRUE, rows),
                (more, rules.GOOD, select(every, pairs=more)),
            )
            for counted in (at.merge(reliable),)
        )
        doubt = (
            f"the true gradients of {lost} of {len(noise)} snapshots have a reliability below {rules.RELIABLE:g}: "
            "raise gradient.true_pairs"
        )
        return Finding(str(cell), parts, doubt=doubt if lost else "")

    return _at_t(tables, timesteps, "true", decide)


def nonpositive(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:
    """G5, in every cell."""
    return _at_t(
        tables,
        timesteps,
        "each other",
        lambda cell, rows: Finding(str(cell), (nonpositive_part(rows, timesteps, statistics),)),
    )


def nonpositive_part(rows: pd.DataFrame, timesteps: int, statistics: Statistics) -> Part:
    """The share of cosines that are zero or negative."""
    part = inequality(
        f"share of zero or negative pairwise cosines at {timesteps:,} pairs",
        agents_mean(rows, "share_nonpositive"),
        "above",
        rules.SOMETIMES,
        statistics,
        **_sizes(rows),
    )
    # Shares near zero are skewed: of few estimates most agents have met none.
    return replace(part, effect=at_least_binomial(part.effect, int(rows["repeats"].sum()), statistics.confidence))


def at_least_binomial(share: Interval, count: int, confidence: float) -> Interval:
    """The interval of a share, no narrower than the exact binomial bounds (Clopper and Pearson) of `count` trials."""
    hits = share.mean * count
    if not math.isfinite(hits) or count == 0:
        return share
    low = float(special.betaincinv(hits, count - hits + 1, 1 - confidence)) if hits > 0 else 0.0
    high = float(special.betaincinv(hits + 1, count - hits, confidence)) if hits < count else 1.0
    return Interval(
        share.mean, *(float(f([a, b])) for f, a, b in ((np.nanmin, share.low, low), (np.nanmax, share.high, high)))
    )


def varying_updates(tables: Tables, timesteps: int, statistics: Statistics) -> list[Finding]:  # noqa: ARG001
    """G6, in every cell."""
    found: list[Finding] = []
    for cell in cells(tables.history):
        rows = later(cell.of(tables.updates))
        if rows.empty:
            found.append(lacking(cell, "needs a snapshot of the curve after iteration 0"))
            continue
        sizes = {"snapshots": span(rows, "iteration"), "updates": int(rows["updates"].sum())}
        part = inequality(
            "mean pairwise cosine of whole updates",
            agents_mean(rows, "cosine"),
            "below",
            rules.NOISY,
            statistics,
            **sizes,
        )
        found.append(Finding(str(cell), (part,)))
    return found


def _similarity(cell: Cell, tables: Tables, timesteps: int, against: str) -> pd.DataFrame:
    return select(cell.of(tables.similarity), against=against, pairs=timesteps)


def _at_t(
    tables: Tables, timesteps: int, against: str, decide: Callable[[Cell, pd.DataFrame], Finding]
) -> list[Finding]:
    """A finding for every cell, from its estimates of T pairs at later snapshots."""
    found: list[Finding] = []
    for cell in cells(tables.history):
        at_t = _similarity(cell, tables, timesteps, against)
        rows = later(at_t)
        if at_t.empty:
            found.append(lacking(cell, f"needs common.timesteps = {timesteps:,} among gradient.sizes"))
        elif rows.empty:
            found.append(lacking(cell, NO_LATER))
        else:
            found.append(decide(cell, rows))
    return found


def _sizes(rows: pd.DataFrame) -> dict[str, int]:
    """Estimates of all agents and snapshots together, and the pairs behind each."""
    return {
        "snapshots": span(rows, "iteration"),
        "estimates": int(rows["repeats"].sum()),
        "pairs an estimate": int(rows["pairs"].iloc[0]),
    }
