"""The cost of one more baseline in the probe that compares them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.agents import params, snapshot
from benchmarks.harness import Cores, Row
from dpg.probes import baselines, stream_blocks
from dpg.streams.rollout import Streams

ENV_IDS = ("Hopper-v4", "Humanoid-v4")
# Target: one more baseline costs less than 5 %.
OVER_WITHOUT = 0.95
ONE = (("value net", "gae"),)
# The most expensive: another value function, with both ways of forming advantages.
MORE = (*ONE, ("true value", "gae"), ("true value", "returns"))


@dataclass(frozen=True)
class BaselinesCase:
    """A shard of the probe at the paper's scale, with all its sample sizes, for an agent after some training."""

    env_id: str
    iterations: int

    def contenders(self, core: int) -> dict[str, Callable[[], int]]:
        """`probe`, with one baseline; `reduction`, its part after the rollout; and that with `one more baseline`."""
        agent = snapshot(self.env_id, self.iterations)
        budget = params().scales["paper"].baselines
        shard = baselines.plan([agent], [agent.state.value[0]], budget, agent.recipe.seed + core)[0]
        streams = stream_blocks.collect(shard)
        return {
            "probe": lambda: _reduce(shard, stream_blocks.collect(shard), ONE),
            "reduction": lambda: _reduce(shard, streams, ONE),
            "one more baseline": lambda: _reduce(shard, streams, MORE),
        }


def measure(cores: Cores, *, quick: bool) -> Iterator[Row]:
    """The probe with one more baseline, by both ways of forming advantages, against the probe without it."""
    rounds, iterations = (2, 1) if quick else (9, 20)
    for env_id in ENV_IDS:
        case = BaselinesCase(env_id, iterations)
        race = cores.race(case, ["probe", "reduction", "one more baseline"], rounds)
        race = race.with_extra("probe with it", base="probe", more="one more baseline", less="reduction")
        name = f"baselines probe, {env_id}, one more baseline, both ways, 1 core / without"
        yield race.row(name, "probe with it", "probe", OVER_WITHOUT)


def _reduce(shard: baselines.BaselineShard, streams: Streams, variants: tuple[tuple[str, str], ...]) -> int:
    baselines.reduce(shard, streams, variants)
    return shard.num_pairs
