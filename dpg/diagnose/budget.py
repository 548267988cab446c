"""Which tier fits into the time asked for, on this machine: from a few seconds of measurement."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from dpg.agent.snapshot import Snapshot
from dpg.diagnose.measurements import root
from dpg.diagnose.plan import TIERS, DiagnosisPlan
from dpg.envs.make import time_limit
from dpg.learning.batch import prepare
from dpg.learning.update import update_policy
from dpg.probes.collection import STREAMS_AT_ONCE, fresh_streams
from dpg.probes.stream_scores import StreamScores
from dpg.runtime.workers import one_thread
from dpg.streams.rollout import Streams

PAIRS = 250  # of each stream that is timed
UNLIMITED = 1000  # pairs that an episode is expected to have where nothing says more
STARTUP = 12.0  # seconds: workers, and the page
MARGIN = 0.75  # of the time asked for that is planned; rates vary, and episodes may be longer than expected
FIT_EPOCHS = 20

Result = TypeVar("Result")


@dataclass(frozen=True)
class AgentRates:
    """Core seconds for a pair: to collect it, to score it, and in a whole policy update; the length of an episode."""

    pair: float
    score: float
    update: float
    length: int


@one_thread()
def measure(snapshot: Snapshot, seed: int) -> AgentRates:
    """The rates of this agent on this machine, on one thread as workers have it."""
    seeds = [root(snapshot, seed) / "rates" / index for index in range(STREAMS_AT_ONCE)]
    fresh_streams(snapshot, seeds, 2)  # loads and compiles
    seconds, streams = timed(lambda: fresh_streams(snapshot, seeds, PAIRS))
    score, _ = timed(lambda: StreamScores.of(snapshot, streams).per_stream())
    recipe, pairs = snapshot.recipe, STREAMS_AT_ONCE * PAIRS
    batch = prepare(snapshot.state, streams, recipe.common, recipe.config)
    update, _ = timed(lambda: update_policy(snapshot.state, batch, recipe, seeds[:1]))
    return AgentRates(seconds / pairs, score / pairs, update / pairs, expected_length(snapshot, streams))


def timed(function: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds that it takes, and what it gives."""
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result


def expected_length(snapshot: Snapshot, streams: Streams | None = None) -> int:
    """Pairs of an episode: all that were collected over those that ended; at most, and without any, the time limit."""
    limit = time_limit(snapshot.recipe.env_id, snapshot.recipe.modules) or UNLIMITED
    ended = 0 if streams is None else int(streams.num_episodes.sum())
    return min(limit, -(-streams.reward.size // ended)) if streams is not None and ended else limit


def seconds(plan: DiagnosisPlan, rates: AgentRates, workers: int) -> float:
    """Wall time of a plan on some workers; the fit of V* is one job."""
    recipe = plan.snapshot.recipe
    rolled = 2 * plan.tier.episodes * plan.length + plan.states[0] * plan.state_pairs
    fit = plan.fit.num_pairs * rates.pair + FIT_EPOCHS * plan.tier.fit_pairs * rates.score / 2
    streams = plan.streams * recipe.common.timesteps * (rates.pair + 2 * rates.score)
    updated = plan.tier.updates * recipe.batch_pairs * (2 * rates.pair + rates.update)
    episodes = 2 * plan.tier.updates * plan.tier.update_episodes * plan.length * rates.pair
    first = max(fit, (fit + rolled * rates.pair) / workers)
    return STARTUP + first + (streams + updated + episodes) / workers


def largest(snapshot: Snapshot, rates: AgentRates, workers: int, minutes: float, seed: int) -> DiagnosisPlan:
    """The plan of the largest tier that fits at these rates, or of the smallest."""
    plans = [DiagnosisPlan(snapshot, tier, rates.length, seed) for tier in TIERS]
    fitting = [plan for plan in plans if seconds(plan, rates, workers) <= MARGIN * 60 * minutes]
    return fitting[-1] if fitting else plans[0]
