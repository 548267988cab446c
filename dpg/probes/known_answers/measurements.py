"""Measurements of gradients on known agents: those of the gradient probe, and ones that are broken on purpose.

A measurement maps an agent and one set of its streams to their sufficient statistics. Each broken one is a plausible
mistake that no figure would show; the checks must reject every one.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from dpg.learning.batch import assemble
from dpg.probes import stream_blocks
from dpg.probes.gradient_sums import GradientMoments, GradientSums, moments
from dpg.probes.known_answers import forms
from dpg.probes.known_answers.agents import KnownAgent
from dpg.probes.stream_blocks import StreamBlock, StreamShard
from dpg.probes.stream_scores import StreamScores
from dpg.streams.rollout import Streams


def collect(agent: KnownAgent, sets: int, streams_per_set: int, seed: int) -> list[Streams]:
    """The disjoint sets of streams of the gradient probe's estimates; they do not depend on the baseline."""
    pairs = streams_per_set * agent.timesteps
    blocks = [StreamBlock("estimate", index, 0, streams_per_set, (pairs,)) for index in range(sets)]
    return [stream_blocks.collect(StreamShard(agent.snapshot, (block,), seed)) for block in blocks]


def sound(agent: KnownAgent, streams: Streams) -> GradientMoments:
    """The probe's own reduction of all streams."""
    return moments(scored(agent, streams).per_stream())


def scored(agent: KnownAgent, streams: Streams) -> StreamScores:
    """The probe's own scores; of an exact agent, with the true value function in place of the net."""
    if not agent.exact:
        return StreamScores.of(agent.snapshot, streams)
    value, end_value = (forms.evaluate(agent.value, obs) for obs in (streams.obs, streams.end_obs))
    return StreamScores.of(
        agent.snapshot,
        streams,
        assemble(streams, streams.reward, value, end_value, agent.snapshot.recipe.common),
    )


def gradient_of(part: GradientMoments) -> Float[np.ndarray, " D"]:
    """The estimate from a union."""
    return part[0].gradient()[0]


def without_gamma(agent: KnownAgent, streams: Streams) -> GradientMoments:
    """Broken: the discount is dropped from temporal differences and advantages."""
    return sound(with_common(agent, gamma=1.0), streams)


def ending_at_time_limits(agent: KnownAgent, streams: Streams) -> GradientMoments:
    """Broken: truncated episodes count as terminated, without a bootstrap value."""
    return sound(with_common(agent, time_limit="terminal"), streams)


def without_log_std(agent: KnownAgent, streams: Streams) -> GradientMoments:
    """Broken: the score has no component for log_std."""
    sums, products = sound(agent, streams)
    layout = agent.snapshot.state.architecture.policy_layout
    kept = layout.flatten({name: np.full(shape, float(name != "log_std")) for name, shape in layout.shapes})
    return sums._replace(score=sums.score * kept, weighted_score=sums.weighted_score * kept), products


def mean_of_normalized(agent: KnownAgent, streams: Streams) -> Float[np.ndarray, " D"]:
    """Broken: the mean of the gradients of streams, each normalised by its own mean and deviation."""
    return scored(agent, streams).per_stream().gradient().mean(axis=0)


def pairs_as_streams(agent: KnownAgent, streams: Streams) -> GradientMoments:
    """Broken: every pair counts as a stream, as if pairs of a stream were independent."""
    found = scored(agent, streams)
    advantage = found.estimates.advantage(found.common).reshape(-1, 1)
    apart = lambda factors: factors.reshape(-1, 1, factors.shape[-1])  # noqa: E731
    score = replace(
        found.score,
        inputs=[apart(x) for x in found.score.inputs],
        errors=[apart(error) for error in found.score.errors],
        log_std=apart(found.score.log_std),
    )
    each = GradientSums(
        pairs=np.ones(len(advantage)),
        episodes=np.zeros(len(advantage)),
        advantage=advantage[:, 0],
        advantage_squared=advantage[:, 0] ** 2,
        score=score.sum(np.ones_like(advantage)),
        weighted_score=score.sum(advantage),
    )
    return moments(each)


def with_common(agent: KnownAgent, **changes: Any) -> KnownAgent:
    """The agent, measured under changed common parameters."""
    recipe = agent.snapshot.recipe
    # Unchecked: the changes may be invalid in a parameter file.
    wrong = recipe.model_copy(update={"common": recipe.common.model_copy(update=changes)})
    return replace(agent, snapshot=replace(agent.snapshot, recipe=wrong))
