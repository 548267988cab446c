"""Microbenchmarks of the kinds of work, for some cells.

The functions of trainings and probes run on a few thousand pairs of an untrained agent, on one thread. Core seconds are
counted, which other work on the machine disturbs little.
"""

import ctypes
import gc
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from dpg.agent.acting import Actor
from dpg.envs.make import make_vector
from dpg.learning.batch import prepare
from dpg.learning.update import update_policy
from dpg.learning.value_fit import update_value
from dpg.planning.cells import UntrainedCell, tasks_of
from dpg.planning.rates import Measurements, Rates, startup
from dpg.probes import baselines, landscape, stream_blocks, true_value
from dpg.probes.stream_blocks import StreamBlock, StreamShard
from dpg.probes.stream_scores import StreamScores
from dpg.runtime import config
from dpg.runtime.machine import peak_memory
from dpg.runtime.seeding import Seed
from dpg.streams.rollout import Streams, collect

WIDTH, STEPS = 8, 400
FEW, MANY = 512, 8192  # pairs
POINTS, EPOCHS = 32, 2


def measure_cells(raw: Mapping[str, Any], cells: Sequence[tuple[str, str]]) -> Measurements:
    """The rates of some cells: for each task what does not depend on the algorithm, then each algorithm's updates.

    Args:
        raw: the parameters as in `params.yaml`.
        cells: tasks and algorithms.
    """
    params = config.parse(raw)
    torch.set_num_threads(1)
    envs = tuple(dict.fromkeys(env for env, _ in cells))
    tasks = tasks_of(params.model_copy(update={"envs": envs}))
    worker, found = startup(), {}
    for env in envs:
        same = [UntrainedCell(params, tasks[env], algorithm) for other, algorithm in cells if other == env]
        stepping, streams = stepping_rates(same[0])
        common = pair_rates(same[0], streams)
        for cell in same:
            update = update_rates(cell, streams)
            seconds = {**stepping, **common.seconds, **update.seconds}
            found[env, cell.algorithm] = Rates(seconds, {**common.bytes, **update.bytes})
    return Measurements(found, worker)


def stepping_rates(cell: UntrainedCell) -> tuple[dict[str, float], Streams]:
    """Seconds of a step of a vector of environments and of each pair that it collects, and some streams."""
    common, seconds = cell.recipe.common, []
    for width in (1, WIDTH):
        envs = make_vector(cell.task.env_id, width, cell.recipe.modules)
        seeds, times = [Seed(0) / "rates" / index for index in range(width)], list[float]()
        watch = lambda _, times=times: times.append(time.process_time())  # noqa: E731
        streams = collect(Actor.of(cell.state), envs, seeds, STEPS, clip_actions=common.clip_actions, watch=watch)
        envs.close()
        # The first steps load and compile.
        seconds.append((times[-1] - times[STEPS // 4]) / (STEPS - 1 - STEPS // 4))
    pair = max(0.0, (seconds[1] - seconds[0]) / (WIDTH - 1))
    return {"pair": pair, "step": max(0.0, seconds[0] - pair)}, streams


def pair_rates(cell: UntrainedCell, streams: Streams) -> Rates:
    """The processing of pairs, the same for every algorithm."""
    recipe, state, (agent,) = cell.recipe, cell.state, cell.snapshots([0], 1)
    sized = {pairs: tiled(streams, pairs) for pairs in (FEW, MANY)}
    settings = cell.params.true_value.model_copy(update={"max_epochs": EPOCHS, "patience": EPOCHS})

    def shard(pairs: int) -> StreamShard:
        snapshot = replace(agent, recipe=cell.recipe_with(timesteps=pairs // WIDTH))
        return StreamShard(snapshot, (StreamBlock("", 0, 0, WIDTH, (pairs,)),), 0)

    def compare(pairs: int) -> None:
        baselines.reduce(baselines.BaselineShard(**vars(shard(pairs)), true_value=state.value[0]), sized[pairs])

    def fit(pairs: int) -> None:
        obs = sized[pairs].obs.reshape(pairs, -1).astype(np.float32)
        data = true_value.Data(obs, np.linspace(-1.0, 1.0, pairs), 1)
        heldout = true_value.Data(data.obs[:WIDTH], data.returns[:WIDTH], 1)
        wanted = true_value.FitShard(shard(pairs).snapshot, pairs, settings, 0)
        true_value.fit(wanted, data, heldout, heldout, Seed(0))

    found = {
        "prepare": _timed(lambda pairs: prepare(state, sized[pairs], recipe.common, recipe.config)),
        "score": _timed(lambda n: stream_blocks.reduce(shard(n), StreamScores.of(shard(n).snapshot, sized[n]))),
        "compare": _timed(compare),
        "fit": _timed(fit, EPOCHS),
    }
    obs, action = cell.task.obs_dim, cell.task.action_dim
    # Arrays that are held whole: by streams, by batches, and by a fit, whose net predicts some values at a time.
    whole = {"raw": 8.0 * (obs + action) + 26, "batch": 4.0 * (obs + 2 * action + 5), "fit": 4.0 * obs + 100}
    return Rates(
        seconds={name: seconds for name, (seconds, _) in found.items()},
        bytes={name: held for name, (_, held) in found.items()} | whole,
    )


def update_rates(cell: UntrainedCell, streams: Streams) -> Rates:
    """The algorithm's updates, from few and from many pairs, whose difference is the cost of pairs; its surrogate."""
    recipe, state, (agent,) = cell.recipe, cell.state, cell.snapshots([0], 1)
    batches = {pairs: prepare(state, tiled(streams, pairs), recipe.common, recipe.config) for pairs in (FEW, MANY)}

    def surrogate(pairs: int) -> None:
        for _ in range(pairs // FEW):
            landscape.surrogate(agent, np.repeat(state.policy, POINTS, axis=0), batches[FEW])

    seconds, held = {}, {}
    seconds["surrogate"], held["surrogate"] = _timed(surrogate, POINTS)
    updates = {"policy": update_policy} | ({} if recipe.common.baseline == "none" else {"value": update_value})
    for name, update in updates.items():
        once = lambda pairs, update=update: update(state, batches[pairs], recipe, [Seed(0)])  # noqa: E731
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # means of minibatches without a pair
            few, _ = _timed(once, pairs=FEW)
            many, held[f"{name}_pair"] = _timed(once)
        seconds[f"{name}_pair"] = max(0.0, (MANY * many - FEW * few) / (MANY - FEW))
        seconds[name] = max(0.0, FEW * (few - seconds[f"{name}_pair"]))
    return Rates(seconds, held)


def tiled(streams: Streams, pairs: int) -> Streams:
    """The streams, repeated and cut to this many pairs in all."""
    length = pairs // WIDTH
    times = -(-length // streams.reward.shape[1])
    names = ("obs", "action", "reward", "terminated", "truncated")
    parts = [np.concatenate([getattr(streams, name)] * times, axis=1)[:, :length] for name in names]
    ends = np.stack([np.arange(WIDTH), np.full(WIDTH, length - 1)], axis=1)
    parts[3][:, -1] = parts[4][:, -1] = False
    return Streams(*parts, end_obs=parts[0][:, -1], end_at=ends)


def _timed(work: Callable[[int], object], repeats: int = 1, pairs: int = MANY) -> tuple[float, float]:
    """Core seconds for each pair, of which the work does `repeats` each, and temporary bytes for each pair."""
    work(FEW)  # the first loads, compiles and fills caches
    _forget_peak()
    before, began = psutil.Process().memory_info().rss, time.process_time()
    work(pairs)
    return (time.process_time() - began) / (pairs * repeats), max(0, peak_memory() - before) / pairs


def _forget_peak() -> None:
    """Release freed memory and reset the peak, where the system can (Linux)."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
