"""How gradients are measured on known agents: as the gradient probe does, and broken on purpose.

A measurement maps an agent and one set of its streams to their sufficient statistics. Each broken one is a mistake
that is easily made and would not show in a figure; the calibration must reject every one.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from dpg.learning.batch import assemble
from dpg.probes import gradient
from dpg.probes.known_answers import forms
from dpg.probes.known_answers.agents import KnownAgent
from dpg.probes.known_answers.verdicts import Part
from dpg.probes.stream_sums import reduce_appraised, reduce_streams
from dpg.streams.rollout import Streams


def collect(agent: KnownAgent, sets: int, streams_per_set: int, seed: int) -> list[Streams]:
    """The disjoint sets of streams that the gradient probe's estimates are made from.

    Agents of one policy and one T share them, whatever their baseline.
    """
    pairs = streams_per_set * agent.timesteps
    parts = [gradient.Part("estimate", index, 0, streams_per_set, (pairs,)) for index in range(sets)]
    return [gradient.streams_of(gradient.Shard(agent.snapshot, (part,), seed)) for part in parts]


def sound(agent: KnownAgent, streams: Streams) -> Part:
    """The probe's own reduction; with the true value function in place of the net where the agent asks for it."""
    sizes = (streams.reward.size,)
    if not agent.exact:
        return reduce_streams(agent.snapshot, streams, sizes)
    value, end_value = (forms.evaluate(agent.value, obs) for obs in (streams.obs, streams.end_obs))
    appraisal = assemble(streams, streams.reward, value, end_value, agent.snapshot.recipe.common)
    return reduce_appraised(agent.snapshot, streams, appraisal, sizes)


def gradient_of(part: Part) -> Float[np.ndarray, " D"]:
    """The estimate from a union."""
    return part[0].gradient()[0]


def without_gamma(agent: KnownAgent, streams: Streams) -> Part:
    """Broken: the discount is dropped from temporal differences and advantages."""
    return sound(with_common(agent, gamma=1.0), streams)


def ending_at_time_limits(agent: KnownAgent, streams: Streams) -> Part:
    """Broken: a truncated episode counts as terminated, so that nothing is bootstrapped there."""
    return sound(with_common(agent, time_limit="terminal"), streams)


def without_log_std(agent: KnownAgent, streams: Streams) -> Part:
    """Broken: the score has no component for log_std."""
    sums, products = sound(agent, streams)
    layout = agent.snapshot.state.architecture.policy_layout
    kept = layout.flatten({name: np.full(shape, float(name != "log_std")) for name, shape in layout.shapes})
    return sums._replace(score=sums.score * kept, weighted_score=sums.weighted_score * kept), products


def mean_of_normalized(agent: KnownAgent, streams: Streams) -> Float[np.ndarray, " D"]:
    """Broken: not a union's gradient but the mean of its streams', each normalised by its own mean and deviation."""
    return np.mean([gradient_of(sound(agent, single(streams, index))) for index in range(len(streams.reward))], axis=0)


def sharing_one_stream(sets: list[Streams]) -> list[Streams]:
    """Broken: every stream of every set is made from one seed."""
    return [Streams.concatenate([single(sets[0], 0)] * len(streams.reward)) for streams in sets]


def single(streams: Streams, index: int) -> Streams:
    """One of the streams."""
    own = streams.end_at[:, 0] == index
    names = ("obs", "action", "reward", "terminated", "truncated")
    return Streams(
        *(getattr(streams, name)[index : index + 1] for name in names),
        end_obs=streams.end_obs[own],
        end_at=streams.end_at[own] * [0, 1],
    )


def with_common(agent: KnownAgent, **changes: Any) -> KnownAgent:
    """The agent measured under other common parameters than its own."""
    recipe = agent.snapshot.recipe
    # Unchecked, as what is wanted here is what no parameter file may say.
    wrong = recipe.model_copy(update={"common": recipe.common.model_copy(update=changes)})
    return replace(agent, snapshot=replace(agent.snapshot, recipe=wrong))
