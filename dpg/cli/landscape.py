"""`dpg landscape`: a closer look at the landscape around one snapshot, outside the pipeline."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from dpg.cli import output
from dpg.cli.snapshots import Snapshot
from dpg.runtime.console import stdout_to_stderr
from dpg.runtime.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from dpg.agent import snapshot as agents
    from dpg.agent.recipe import Recipe
    from dpg.probes.landscape_plan import LandscapeSpec

EPILOG = """
Examples:

- `dpg landscape data/train/Hopper-v4/ppo/agent00-iteration00030.safetensors`: around one snapshot, in a minute or two
- `dpg landscape SNAPSHOT --x-range -1 3 --y-range -1.5 1.5 --grid 17 13 --pairs 50000`: both sides of it, and finer
- `dpg landscape SNAPSHOT --update-pairs 2000 --update-pairs 100000 -o close-look`: steps from few and from many pairs

How to read what it writes: docs/landscapes.md.
"""
EVALUATED = 16  # episodes, whose mean length gives the trajectories per point


def landscape(
    snapshot: Snapshot,
    x_range: Annotated[
        tuple[float, float], typer.Option(metavar="LOW HIGH", help="Along the update step; 1 is one full step.")
    ] = (0.0, 3.0),
    y_range: Annotated[tuple[float, float], typer.Option(metavar="LOW HIGH", help="Along the random direction.")] = (
        0.0,
        3.0,
    ),
    grid: Annotated[tuple[int, int], typer.Option(metavar="NX NY", help="Points along each.")] = (7, 7),
    pairs: Annotated[int, typer.Option(help="State-action pairs per point, about: episodes are whole.")] = 10_000,
    target_error: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="A point gets episodes until its difference from the snapshot has this standard error, relative to "
            "the snapshot's mean return (0.02); --pairs is then the most.",
            show_default=False,
        ),
    ] = None,
    fewer: Annotated[
        list[int] | None,
        typer.Option(
            metavar="PAIRS", help="Also estimate the reward from fewer pairs; may be repeated.", show_default=False
        ),
    ] = None,
    update_pairs: Annotated[
        list[int] | None,
        typer.Option(metavar="PAIRS", help="Pairs behind the update; may be repeated. Default: one iteration's."),
    ] = None,
    random_norm: Annotated[float, typer.Option(help="Length of the random direction.")] = 2.0,
    own_noise: Annotated[bool, typer.Option("--own-noise", help="Separate noise for each point, not common.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The root of the random streams.")] = 0,
    folder: Annotated[Path, typer.Option("--output", "-o", help="A new folder for the results.")] = Path("landscape"),
) -> None:
    """Measure reward and surrogate around one snapshot; write tables, arrays, figures and an interactive page.

    The plane is spanned by the algorithm's own update step, from the snapshot's optimiser state, and a random
    direction. Nothing of the pipeline is changed. A run that was stopped continues when the same command is given
    again.
    """
    from dpg.agent.snapshot import load, require

    _check_axes(x_range, y_range, grid)
    found = load(snapshot)
    timesteps = found.recipe.common.timesteps
    regimes = tuple(sorted(set(update_pairs or [found.recipe.batch_pairs])))
    _check_counts(regimes, timesteps, sorted(fewer or []), pairs, target_error, random_norm)
    output.check_new(folder)
    from dpg.probes.collection import UPDATE_PARTS
    from dpg.probes.landscape import Grid
    from dpg.probes.landscape_plan import LandscapeSpec

    require(found, "a policy update", *UPDATE_PARTS)
    budgets = (*sorted(set(fewer or [])), pairs)
    wanted = LandscapeSpec(
        Grid(x_range, y_range, grid), regimes, budgets, random_norm, not own_noise, seed, target_error
    )
    with stdout_to_stderr():
        tables = measure(wanted, found, folder)
    written = f"Written to {folder}: tables, arrays.safetensors, figures, and landscape.html to look at in a browser."
    output.echo(summary(tables), written)


def _check_axes(x_range: tuple[float, float], y_range: tuple[float, float], grid: tuple[int, int]) -> None:
    from dpg.runtime.fields import MOST, MOST_GRID
    from dpg.runtime.schema import holds_zero

    for name, ends, points in zip(("--x-range", "--y-range"), (x_range, y_range), grid, strict=True):
        axis = f"{name} {ends[0]:g} {ends[1]:g}"
        if not -MOST <= ends[0] < ends[1] <= MOST:
            raise UserError(f"{axis}: the first end must be less than the second, and both within +-{MOST:g}")
        if not 2 <= points <= MOST_GRID:
            raise UserError(f"--grid {grid[0]} {grid[1]}: there must be 2 to {MOST_GRID} points along each axis")
        if not holds_zero(*ends, points):
            fitting = [count for count in range(2, MOST_GRID + 1) if holds_zero(*ends, count)]
            near = sorted(sorted(fitting, key=lambda count: abs(count - points))[:3])
            hint = f"; with {' or '.join(map(str, near))} points it is" if near else ""
            raise UserError(f"{axis}: 0, the snapshot, must be among its {points} evenly spaced points{hint}")


def _check_counts(
    regimes: tuple[int, ...],
    timesteps: int,
    fewer: list[int],
    pairs: int,
    target_error: float | None,
    random_norm: float,
) -> None:
    from dpg.runtime.fields import LEAST, MOST, MOST_COUNT

    for name, counts in (("--pairs", [pairs]), ("--update-pairs", regimes)):
        for count in counts:
            if not 0 < count <= MOST_COUNT:
                raise UserError(f"{name} {count}: must be 1 to {MOST_COUNT}")
    for count in regimes:
        if count % timesteps:
            raise UserError(
                f"--update-pairs {count}: must be a multiple of {timesteps}, the pairs of a stream of this snapshot"
            )
    for count in fewer:
        if not 0 < count < pairs:
            raise UserError(f"--fewer {count}: must be more than 0 and less than --pairs ({pairs})")
    for name, value in (("--target-error", target_error), ("--random-norm", random_norm)):
        if value is not None and not LEAST <= value <= MOST:
            raise UserError(f"{name} {value:g}: must be more than 0, {LEAST:g} to {MOST:g}")


def measure(wanted: "LandscapeSpec", snapshot: "agents.Snapshot", target: Path) -> "dict[type, pd.DataFrame]":
    """Measure and write everything; the folder appears whole or not at all. Returns the tables."""
    from dataclasses import asdict
    from functools import partial
    from operator import attrgetter

    from safetensors.numpy import save

    from dpg.probes import alignment, evaluation, landscape, landscape_plan
    from dpg.runtime.schema import STATISTICS
    from dpg.runtime.shard_cache import open_shard_cache
    from dpg.runtime.shards import open_context, run_shards
    from dpg.tables.table import write_all

    modules = snapshot.recipe.modules
    with (
        # Claimed first: a second run that waits here and is then refused does not hold the cache of the first.
        output.new_folder(target) as folder,
        open_shard_cache("dpg-landscape", str(snapshot).replace(" ", "-"), asdict(wanted), modules) as cache,
        open_context(cache, modules) as context,
    ):
        shard = evaluation.EvaluationShard(snapshot, "sampled", EVALUATED, wanted.seed)
        episodes = partial(run_shards, context=context, work=attrgetter("num_episodes"), unit="episodes")
        (own,) = episodes(evaluation.measure, [shard], title=f"{snapshot}, its own episodes")
        shards = landscape_plan.plan_planes(wanted, [snapshot])
        planes = run_shards(
            landscape.measure_plane, shards, context, work=attrgetter("num_pairs"), title=f"{snapshot}, directions"
        )
        means = landscape_plan.EvaluationMeans(float(own.length.mean()), float(own.return_.mean()))
        plans = landscape_plan.plan_rewards(wanted, shards, planes, [means])
        landscapes = landscape_plan.measure(
            plans, lambda rewards, part: episodes(landscape.measure_rewards, rewards, title=f"{snapshot}, {part}")
        )
        rows, arrays = alignment.tabulate(landscapes, STATISTICS)
        tables = write_all(rows, folder)
        (folder / "arrays.safetensors").write_bytes(save(arrays))
        draw(tables, snapshot.recipe, folder)
    return tables


def draw(tables: "dict[type, pd.DataFrame]", recipe: "Recipe", folder: Path) -> None:
    """The figures of one snapshot, and the page."""
    from dpg.report import style
    from dpg.report.experiment import Experiment, distinct, styles_of
    from dpg.report.figures import concentration, landscape
    from dpg.report.page import interactive
    from dpg.runtime.schema import STATISTICS
    from dpg.tables.landscape import LandscapePoint
    from dpg.tables.store import Tables

    common = recipe.common
    styles = styles_of([recipe.algorithm], recipe.modules)
    experiment = Experiment(Tables(tables), common.timesteps, STATISTICS, styles)
    figures = {"cut": landscape.CUT.draw(experiment)}
    for pairs in distinct(experiment[LandscapePoint], "update_pairs"):
        regime = experiment.where(update_pairs=pairs)
        figures[f"landscape_N{pairs}"] = landscape.SURFACES.draw(regime)
        figures[f"concentration_N{pairs}"] = concentration.FIGURE.draw(regime)
    for name, figure in figures.items():
        style.save(figure, folder, name, ["png"], dpi=200)
    (folder / "landscape.html").write_text(interactive.page(experiment), encoding="utf-8")


def summary(tables: "dict[type, pd.DataFrame]") -> Table:
    """One row for each regime: the agreement of surrogate and reward, and the gain of one full step."""
    from dpg.report.wording import counted
    from dpg.tables.landscape import Alignment, LandscapePoint

    names = (">update from", ">step norm", ">rank correlation, grid", ">along the step", ">gain of the full step")
    table = output.table(*names)
    for row in tables[Alignment].to_dict("records"):
        table.add_row(
            f"{row['update_pairs']:,} pairs",
            f"{row['step_norm']:.3g}",
            *(_interval(row, column) for column in ("grid_correlation", "step_correlation", "gain")),
        )
    trajectories = counted(tables[LandscapePoint]["trajectories"], "trajectory")
    table.caption = f"95% intervals, by resampling {trajectories} per point"
    return table


def _interval(row: dict[Any, Any], column: str) -> str:
    value, low, high = (row[f"{column}{end}"] for end in ("", "_low", "_high"))
    return "none" if value != value else f"{value:.3g}\n[{low:.3g}, {high:.3g}]"  # noqa: PLR0124 (NaN)
