"""The cost of the gradient probe over the rollout of its streams, and of one more sample size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.agents import params, snapshot
from benchmarks.harness import Cores, Row
from dpg.probes import gradient, stream_blocks
from dpg.probes.stream_blocks import StreamShard
from dpg.probes.stream_scores import StreamScores
from dpg.streams.rollout import Streams

ENV_IDS = ("Hopper-v4", "Humanoid-v4")
OVER_ROLLOUT = 0.85
# Target: one more sample size costs less than 1 %.
OVER_WITHOUT = 0.99
OVER_ONE_CORE = 1.8


@dataclass(frozen=True)
class GradientCase:
    """A shard of the probe at the paper's scale, with all its sample sizes, for an agent after some training."""

    env_id: str
    iterations: int

    def contenders(self, core: int) -> dict[str, Callable[[], int]]:
        """`probe`; `rollout`, its streams only; `reduction`, the part after it; and that with `one more size`."""
        agent = snapshot(self.env_id, self.iterations)
        # The first shard of an estimate holds the stream whose prefixes are the sizes below T.
        # Every core has one of the same shape, with its own streams.
        shard = gradient.plan([agent], params().scales["paper"].gradient, agent.recipe.seed + core)[0]
        # Also below T, where a size needs its own sums.
        extra = agent.recipe.common.timesteps * 3 // 4
        blocks = [replace(block, sizes=tuple(sorted({*block.sizes, extra}))) for block in shard.blocks]
        more = replace(shard, blocks=tuple(blocks))
        _check(shard)
        streams = _rollout(shard)
        return {
            "probe": lambda: _measure(shard),
            "rollout": lambda: _rollout(shard).reward.size,
            "reduction": lambda: _reduce(shard, streams),
            "one more size": lambda: _reduce(more, streams),
        }


def measure(cores: Cores, *, quick: bool) -> Iterator[Row]:
    """The probe against its rollout; unless quick, also with one more size, and on all cores against one."""
    rounds, iterations = (2, 1) if quick else (9, 20)
    for env_id in ENV_IDS:
        case = GradientCase(env_id, iterations)
        name = f"gradient probe, {env_id}"
        names = ["probe", "rollout"] if quick else ["probe", "rollout", "reduction", "one more size"]
        race = cores.race(case, names, rounds)
        yield race.row(f"{name}, 1 core / rollout alone", "probe", "rollout", OVER_ROLLOUT)
        if quick:
            continue
        race = race.with_extra("probe with it", base="probe", more="one more size", less="reduction")
        yield race.row(f"{name}, one more sample size, 1 core / without", "probe with it", "probe", OVER_WITHOUT)
        if cores.count > 1:
            scaling = cores.scaling(case, "probe", rounds)
            yield scaling.row(f"{name}, {cores.count} cores / 1 core", "all cores", "one core", OVER_ONE_CORE)


def _measure(shard: StreamShard) -> int:
    gradient.measure(shard)
    return shard.num_pairs


def _reduce(shard: StreamShard, streams: Streams) -> int:
    stream_blocks.reduce(shard, StreamScores.of(shard.snapshot, streams))
    return shard.num_pairs


def _rollout(shard: StreamShard) -> Streams:
    """The streams that `gradient.measure` collects."""
    return stream_blocks.collect(shard)


def _check(shard: StreamShard) -> None:
    whole = replace(shard.blocks[0], num_streams=1, sizes=(shard.snapshot.recipe.common.timesteps,))
    one = replace(shard, blocks=(whole,))
    ((sums, _),) = gradient.measure(one)
    if not np.array_equal(sums.episodes, _rollout(one).num_episodes):
        raise RuntimeError(f"{shard.snapshot.recipe.env_id}: the rollout does not collect the probe's streams")
