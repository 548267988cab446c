"""Microbenchmarks of the kinds of work, for some cells.

The functions of trainings and probes run on a few thousand pairs of an untrained agent, on one thread. Core seconds are
counted, which other work on the machine disturbs little.
"""

import ctypes
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from dpg.agent.acting import Actor
from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.learning.batch import prepare
from dpg.learning.update import update_policy
from dpg.learning.value_fit import update_value
from dpg.planning.cells import UntrainedCell, tasks_of
from dpg.planning.rates import Measurements, Rates
from dpg.planning.startup import startup
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

# Does some work on so many pairs, and returns its amount.
Work = Callable[[int], int]


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
    """Seconds of a step of a vector of environments and of each pair that it brings, and some streams."""
    common, seconds = cell.recipe.common, []
    for width in (1, WIDTH):
        envs = make_vector(cell.task.env_id, width, common.modules)
        seeds, times = [Seed(0) / "rates" / index for index in range(width)], list[float]()
        watch = lambda _, times=times: times.append(time.process_time())  # noqa: E731
        streams = collect(Actor.of(cell.state), envs, seeds, STEPS, clip_actions=common.clip_actions, watch=watch)
        envs.close()
        # The first steps load and compile.
        seconds.append((times[-1] - times[STEPS // 4]) / (STEPS - 1 - STEPS // 4))
    pair = max(0.0, (seconds[1] - seconds[0]) / (WIDTH - 1))
    return {"pair": pair, "step": max(0.0, seconds[0] - pair)}, streams


def pair_rates(cell: UntrainedCell, streams: Streams) -> Rates:
    """What is done with pairs, whatever the algorithm."""
    params, recipe, state = cell.params, cell.recipe, cell.state
    agent = cell.snapshots([0], 1)[0]
    sized = {pairs: tiled(streams, pairs) for pairs in (FEW, MANY)}
    batch = prepare(state, sized[FEW], recipe.common, recipe.config)
    normal = {pairs: some.obs.reshape(pairs, -1).astype(np.float32) for pairs, some in sized.items()}

    def shard(pairs: int) -> StreamShard:
        return StreamShard(_of_length(agent, pairs // WIDTH), (StreamBlock("", 0, 0, WIDTH, (pairs,)),), 0)

    def look(pairs: int) -> int:
        prepare(state, sized[pairs], recipe.common, recipe.config)
        return pairs

    def score(pairs: int) -> int:
        asked = shard(pairs)
        stream_blocks.reduce(asked, StreamScores.of(asked.snapshot, sized[pairs]))
        return pairs

    def compare(pairs: int) -> int:
        baselines.reduce(baselines.BaselineShard(shard(pairs), state.value[0]), sized[pairs])
        return pairs

    def fit(pairs: int) -> int:
        data = true_value.Data(normal[pairs], np.linspace(-1.0, 1.0, pairs), 1)
        few = params.true_value.model_copy(update={"max_epochs": EPOCHS, "patience": EPOCHS})
        heldout = true_value.Data(data.obs[:WIDTH], data.returns[:WIDTH], 1)
        true_value.fit(
            true_value.FitShard(_of_length(agent, pairs // WIDTH), pairs, few, 0), data, heldout, heldout, Seed(0)
        )
        return pairs * EPOCHS

    def surrogate(pairs: int) -> int:
        for _ in range(pairs // FEW):
            landscape.surrogate(agent, np.repeat(state.policy, POINTS, axis=0), batch)
        return pairs * POINTS

    works: dict[str, Work] = {"prepare": look, "score": score, "compare": compare, "fit": fit, "surrogate": surrogate}
    found = {name: _timed(work, MANY) for name, work in works.items()}
    obs, action = cell.task.obs_dim, cell.task.action_dim
    # Arrays that are held whole: by streams, by batches, and by a fit, whose net is asked for some values at a time.
    whole = {"raw": 8.0 * (obs + action) + 26, "batch": 4.0 * (obs + 2 * action + 5), "fit": 4.0 * obs + 100}
    return Rates(
        seconds={name: seconds for name, (seconds, _) in found.items()},
        bytes={name: held for name, (_, held) in found.items()} | whole,
    )


def update_rates(cell: UntrainedCell, streams: Streams) -> Rates:
    """Both updates of the algorithm: from few and from many pairs, whose difference is what pairs take."""
    recipe, state = cell.recipe, cell.state
    seconds, held = {}, {}
    for name, update in (("policy", update_policy), ("value", update_value)):
        if name == "value" and recipe.common.baseline == "none":
            continue
        by_size = []
        for pairs in (FEW, MANY):
            batch = prepare(state, tiled(streams, pairs), recipe.common, recipe.config)

            def once(pairs: int, update: Callable[..., object] = update, batch: object = batch) -> int:
                update(state, batch, recipe, [Seed(0)])
                return pairs

            by_size.append(_timed(once, pairs))
        (few, _), (many, held[f"{name}_pair"]) = by_size
        seconds[f"{name}_pair"] = max(0.0, (MANY * many - FEW * few) / (MANY - FEW))
        seconds[name] = max(0.0, FEW * (few - seconds[f"{name}_pair"]))
    return Rates(seconds=seconds, bytes=held)


def tiled(streams: Streams, pairs: int) -> Streams:
    """The streams, each repeated to as many pairs as are asked for together, and cut there."""
    length = pairs // WIDTH
    times = -(-length // streams.reward.shape[1])
    names = ("obs", "action", "reward", "terminated", "truncated")
    parts = [np.concatenate([getattr(streams, name)] * times, axis=1)[:, :length] for name in names]
    ends = np.stack([np.arange(WIDTH), np.full(WIDTH, length - 1)], axis=1)
    parts[3][:, -1] = parts[4][:, -1] = False
    return Streams(*parts, end_obs=parts[0][:, -1], end_at=ends)


def _of_length(snapshot: Snapshot, timesteps: int) -> Snapshot:
    common = snapshot.recipe.common.model_copy(update={"timesteps": timesteps})
    return replace(snapshot, recipe=snapshot.recipe.model_copy(update={"common": common}))


def _timed(work: Work, pairs: int) -> tuple[float, float]:
    """Core seconds for each unit of work, and bytes that are held of each pair in passing."""
    work(FEW)  # the first loads, compiles and fills caches
    _forget_peak()
    before, began = psutil.Process().memory_info().rss, time.process_time()
    amount = work(pairs)
    return (time.process_time() - began) / amount, max(0, peak_memory() - before) / pairs


def _forget_peak() -> None:
    """Give freed memory back, and begin to count the peak anew, where the system can (Linux)."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
