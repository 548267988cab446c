"""Every figure of a report: its file's name, how it is drawn, and its caption."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from matplotlib.figure import Figure

from dpg.report.figures import (
    ablation,
    alignment,
    baselines,
    concentration,
    gradient,
    landscape,
    regimes,
    rewards,
    true_value,
    update_gain,
    update_step,
    value,
)
from dpg.report.tables import Tables, distinct, select
from dpg.runtime.ids import file_name
from dpg.runtime.schema import Statistics


@dataclass(frozen=True)
class Drawing:
    """One figure, not yet drawn."""

    name: str
    draw: Callable[[], Figure]
    caption: str


def drawings(tables: Tables, timesteps: int, statistics: Statistics) -> list[Drawing]:
    """The figures that the tables hold, in the order of the paper's numbers within a task.

    What is not measured, whose tables have no rows, has none.
    """
    found = [
        Drawing(
            rewards.NAME,
            partial(rewards.draw, tables.history, tables.evaluation, statistics),
            rewards.caption(tables.history, tables.evaluation, statistics),
        )
    ]
    if len(tables.ablation):
        found.append(
            Drawing(
                ablation.NAME,
                partial(ablation.draw, tables.history, tables.ablation, statistics),
                ablation.caption(tables.history, tables.ablation, statistics),
            )
        )
    for env in distinct(tables.history, "env"):
        found += _gradients(tables, env, timesteps, statistics)
        found.append(_updates(tables, env, statistics))
        found += _regimes(tables, env, statistics)
        found += _values(tables, env, statistics)
        found += _baselines(tables, env, timesteps, statistics)
        found += _true_values(tables, env, statistics)
        found.append(_update_gains(tables, env, statistics))
        found.append(_alignment(tables, env, statistics))
        found += _landscapes(tables, env)
    return found


def _gradients(tables: Tables, env: str, timesteps: int, statistics: Statistics) -> list[Drawing]:
    similarity, noise = select(tables.similarity, env=env), select(tables.noise, env=env)
    settings = (timesteps, statistics)
    return [
        Drawing(
            f"{gradient.NAMES['each other']}_{file_name(env)}",
            partial(gradient.draw_variance, similarity, *settings),
            gradient.caption(similarity, noise, "each other", *settings),
        ),
        Drawing(
            f"{gradient.NAMES['true']}_{file_name(env)}",
            partial(gradient.draw_true, similarity, *settings),
            gradient.caption(similarity, noise, "true", *settings),
        ),
    ]


def _updates(tables: Tables, env: str, statistics: Statistics) -> Drawing:
    rows = select(tables.updates, env=env)
    name = f"{update_step.NAME}_{file_name(env)}"
    return Drawing(name, partial(update_step.draw, rows, statistics), update_step.caption(rows, statistics))


def _regimes(tables: Tables, env: str, statistics: Statistics) -> list[Drawing]:
    rows = select(tables.regimes, env=env)
    if rows.empty:
        return []
    name = f"{regimes.NAME}_{file_name(env)}"
    return [Drawing(name, partial(regimes.draw, rows, statistics), regimes.caption(rows, statistics))]


def _values(tables: Tables, env: str, statistics: Statistics) -> list[Drawing]:
    rows = select(tables.value, env=env)
    if rows.empty:
        return []
    return [
        Drawing(
            f"{value.NAMES['heldout']}_{file_name(env)}",
            partial(value.draw_heldout, rows, statistics),
            value.caption(rows, "heldout", statistics),
        ),
        Drawing(
            f"{value.NAMES['train']}_{file_name(env)}",
            partial(value.draw_train, rows, statistics),
            value.caption(rows, "train", statistics),
        ),
    ]


def _baselines(tables: Tables, env: str, timesteps: int, statistics: Statistics) -> list[Drawing]:
    """What baselines buy."""
    cosines, gains = select(tables.baselines, env=env), select(tables.gains, env=env)
    if cosines.empty:
        return []
    return [
        Drawing(
            f"{baselines.NAMES['cosines']}_{file_name(env)}",
            partial(baselines.draw_cosines, cosines, timesteps, statistics),
            baselines.caption_cosines(cosines, timesteps, statistics),
        ),
        Drawing(
            f"{baselines.NAMES['differences']}_{file_name(env)}",
            partial(baselines.draw_differences, gains, timesteps, statistics),
            baselines.caption_differences(gains, statistics),
        ),
    ]


def _true_values(tables: Tables, env: str, statistics: Statistics) -> list[Drawing]:
    """How good the true value function is."""
    fits, losses = select(tables.fits, env=env), select(tables.losses, env=env)
    states, opinions = select(tables.states, env=env), select(tables.opinions, env=env)
    if fits.empty:
        return []
    return [
        Drawing(
            f"{true_value.NAMES['fit']}_{file_name(env)}",
            partial(true_value.draw_fit, fits, losses, opinions, statistics),
            true_value.caption_fit(fits, opinions, statistics),
        ),
        Drawing(
            f"{true_value.NAMES['states']}_{file_name(env)}",
            partial(true_value.draw_states, states, statistics),
            true_value.caption_states(states, statistics),
        ),
    ]


def _update_gains(tables: Tables, env: str, statistics: Statistics) -> Drawing:
    gains, updates = select(tables.agent_gains, env=env), select(tables.update_gains, env=env)
    text = update_gain.caption(gains, updates, statistics)
    return Drawing(f"{update_gain.NAME}_{file_name(env)}", partial(update_gain.draw, gains), text)


def _alignment(tables: Tables, env: str, statistics: Statistics) -> Drawing:
    rows = select(tables.alignment, env=env)
    name = f"{alignment.NAME}_{file_name(env)}"
    return Drawing(name, partial(alignment.draw, rows, statistics), alignment.caption(rows, statistics))


def _landscapes(tables: Tables, env: str) -> list[Drawing]:
    """Surfaces of every regime, the cut along the step, and fewer trajectories in the first regime, for every agent.

    Agents after the first are named in the file.
    """
    found = []
    for algorithm in distinct(tables.landscape, "algorithm"):
        cell = {"env": env, "algorithm": algorithm}
        for position, agent in enumerate(distinct(select(tables.landscape, **cell), "agent")):
            rows = select(tables.landscape, **cell, agent=agent)
            suffix = f"_{file_name(env)}_{algorithm}" + (f"_agent{agent}" if position else "")
            pairs = distinct(rows, "update_pairs")
            for regime in (select(rows, update_pairs=each) for each in pairs):
                name = f"{landscape.NAMES['surfaces']}{suffix}_N{regime['update_pairs'].iloc[0]}"
                found.append(Drawing(name, partial(landscape.draw_surfaces, regime), landscape.caption(regime)))
            text = landscape.caption(rows)
            found.append(Drawing(f"{landscape.NAMES['cut']}{suffix}", partial(landscape.draw_cut, rows), text))
            first = {**cell, "agent": agent, "update_pairs": pairs[0]}
            fewer = (select(tables.concentration, **first), select(tables.resolution, **first))
            text = concentration.caption(*fewer)
            found.append(Drawing(f"{concentration.NAME}{suffix}", partial(concentration.draw, *fewer), text))
    return found
