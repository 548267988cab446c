"""Checks of gradient estimates: the gradient, its noise, its independent units, and its cosines.

A measurement maps an agent and one set of its streams to their sufficient statistics. Each broken one is a plausible
mistake that no figure would show; the checks must reject every one.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from dpg.envs.linear_quadratic import EPISODE_STEPS
from dpg.learning.batch import assemble
from dpg.numerics.statistics import of_pairs
from dpg.numerics.vectors import cosine, cosine_matrix
from dpg.probes import stream_blocks
from dpg.probes.gradient_sums import GradientMoments, GradientSums, gradient_noise, moments, pool, pseudo_values
from dpg.probes.known_answers import forms
from dpg.probes.known_answers.agents import LONG, SHORT, KnownAgent, known_agent
from dpg.probes.known_answers.noise import StreamNoise, expected_cosines
from dpg.probes.known_answers.verdicts import broken, log_check, predicted_check, scalar_check, vector_checks
from dpg.probes.stream_blocks import StreamBlock, StreamShard
from dpg.probes.stream_scores import StreamScores
from dpg.streams.rollout import Streams
from dpg.tables.calibrate import Check

BASELINES = ("true value function", "value net", "none")
STREAMS_PER_SET = 64
SETS_POOLED = (2, 8)


def estimator_checks(seed: int, streams: int) -> list[Check]:
    """All checks, from `streams` streams of 10 pairs, four times as many for the units, and some long ones."""
    sets = streams // STREAMS_PER_SET
    many = collect_sets(known_agent("value net", SHORT), 4 * sets, STREAMS_PER_SET, seed)
    short = many[:sets]
    long = collect_sets(known_agent("value net", LONG), sets // 4, 8, seed)
    return [
        *gradient_checks(known_agents(SHORT), short),
        *gradient_checks(known_agents(LONG), long),
        *noise_checks(short),
        *unit_checks(many),
        *cosine_checks(short),
    ]


def known_agents(timesteps: int) -> dict[str, KnownAgent]:
    """One agent for each baseline; their policies are the same."""
    return {baseline: known_agent(baseline, timesteps) for baseline in BASELINES}


def gradient_checks(agents: dict[str, KnownAgent], sets: list[Streams]) -> list[Check]:
    """The gradient from pooled streams, for each baseline; the broken estimators depend on the length of streams."""
    timesteps = sets[0].reward.shape[1]

    def checks(title: str, agent: KnownAgent, measure: Callable[[KnownAgent, Streams], GradientMoments]) -> list[Check]:
        values = pseudo_values([measure(agent, streams) for streams in sets], gradient_of)
        return vector_checks(f"gradient, {title}, streams of {timesteps}", agent.gradient(), values)

    sound_ones = [check for baseline, agent in agents.items() for check in checks(baseline, agent, sound)]
    exact, net = agents["true value function"], agents["value net"]
    wrong = [
        checks("gamma dropped", exact, partial(with_mistake, gamma=1.0)),
        checks("log_std left out of the score", net, without_log_std),
    ]
    if timesteps > EPISODE_STEPS:
        wrong.append(checks("time limits taken for ends", exact, partial(with_mistake, time_limit="terminal")))
    else:
        values = np.stack([mean_of_normalized(net, streams) for streams in sets])
        name = f"gradient, union not normalised as one, streams of {timesteps}"
        wrong.append(vector_checks(name, net.gradient(), values))
    return sound_ones + [broken(whole) for whole, _ in wrong]


def noise_checks(sets: list[Streams]) -> list[Check]:
    """The trace of one pair's gradient covariance and the noise scale, as in `noise.csv`, for each baseline."""
    checks: list[Check] = []
    for baseline, agent in known_agents(SHORT).items():
        noise = agent.noise()
        trace = float(np.trace(noise.covariance)) * agent.timesteps
        truths = {"trace": trace, "noise scale in pairs": trace / float(noise.gradient @ noise.gradient)}
        values = pseudo_values([sound(agent, streams) for streams in sets], log_noise)
        for column, (name, truth) in enumerate(truths.items()):
            checks.append(log_check(f"{name}, {baseline}", truth, values[:, column]))
    return checks


def log_noise(part: GradientMoments) -> Float[np.ndarray, " 2"]:
    """Logarithms of the trace of one pair's covariance, and of the noise scale in pairs."""
    found = gradient_noise(*part)
    positive = min(found.trace, found.gradient_squared) > 0
    log_trace, log_squared = np.log([found.trace, found.gradient_squared]) if positive else (np.nan, np.nan)
    return np.array([log_trace, log_trace - log_squared]) + np.log(pairs_of_unit(part))


def log_error(part: GradientMoments) -> Float[np.ndarray, " 1"]:
    """The logarithm of the standard error of the mean advantage, from one pair."""
    sums, products = part
    means = sums.advantage / products.streams
    variance = products.numbers[0, 0] / products.streams - means**2
    return np.log(variance / pairs_of_unit(part)) / 2


def pairs_of_unit(part: GradientMoments) -> float:
    """Pairs of an independent unit."""
    sums, products = part
    return float(sums.pairs[0]) / products.streams


def unit_checks(sets: list[Streams]) -> list[Check]:
    """The independent units: streams, not their pairs; estimates, not their cosines.

    Broken are the trace with the true value function and the error of the mean advantage with pairs as the units, and
    the error of a mean cosine with cosines as the units.
    """
    agents = known_agents(SHORT)
    exact, net = agents["true value function"], agents["value net"]
    trace = float(np.trace(exact.noise().covariance)) * SHORT
    noise = net.noise()
    error = noise.mean_std * np.sqrt(SHORT)
    apart = [pairs_as_streams(exact, streams) for streams in sets]
    by_unit = {"streams": [sound(net, streams) for streams in sets]}
    by_unit["pairs"] = [pairs_as_streams(net, streams) for streams in sets]
    errors = {
        unit: log_check(
            f"standard error of the mean advantage, from {unit}", error, pseudo_values(parts, log_error)[:, 0]
        )
        for unit, parts in by_unit.items()
    }
    return [
        broken(log_check("trace, from pairs", trace, pseudo_values(apart, log_noise)[:, 0])),
        errors["streams"],
        broken(errors["pairs"]),
        *cosine_error_checks(noise, by_unit["streams"]),
    ]


def cosine_error_checks(noise: StreamNoise, parts: list[GradientMoments]) -> list[Check]:
    """The variance of a mean pairwise cosine, by the units of its interval, against the predicted one."""
    estimates = pooled(parts, SETS_POOLED[0])
    count = len(estimates)
    truth = expected_cosines(noise, estimates[0][1].streams, count).among_std ** 2
    similarity = cosine_matrix(np.stack([gradient_of(part) for part in estimates]))
    units = {"estimates": of_pairs(similarity).values, "cosines": similarity[np.triu_indices(count, 1)]}
    by_estimates, by_cosines = (
        scalar_check(
            f"variance of the mean cosine, from {unit}", truth, (values - values.mean()) ** 2 / (len(values) - 1)
        )
        for unit, values in units.items()
    )
    return [by_estimates, broken(by_cosines)]


def pooled(parts: list[GradientMoments], count: int) -> list[GradientMoments]:
    """Estimates from `count` sets each."""
    return [pool(parts[first : first + count]) for first in range(0, len(parts) + 1 - count, count)]


def cosine_checks(sets: list[Streams]) -> list[Check]:
    """Mean cosines of estimates with the true gradient and with each other, at two sizes, against predicted ones.

    At 640 pairs, one set, estimates are not yet Gaussian enough for the prediction: several sets make one estimate.
    """
    agent = known_agent("value net", SHORT)
    noise = agent.noise()
    parts = [sound(agent, streams) for streams in sets]
    checks: list[Check] = []
    for estimates in (pooled(parts, count) for count in SETS_POOLED):
        expected = expected_cosines(noise, estimates[0][1].streams, len(estimates))
        pairs = f"{int(estimates[0][0].pairs[0])} pairs"
        gradients = np.stack([gradient_of(part) for part in estimates])
        to_true = float(cosine(gradients, noise.gradient).mean())
        name = f"cosine with the true gradient, {pairs}"
        checks.append(predicted_check(name, expected.to_true, expected.to_true_std, to_true))
        among = of_pairs(cosine_matrix(gradients)).point
        checks.append(predicted_check(f"cosine with each other, {pairs}", expected.among, expected.among_std, among))
    return checks


def collect_sets(agent: KnownAgent, sets: int, streams_per_set: int, seed: int) -> list[Streams]:
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


def with_mistake(agent: KnownAgent, streams: Streams, **common: Any) -> GradientMoments:
    """Broken: measured under other common parameters."""
    return sound(with_common(agent, **common), streams)


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
    return replace(agent, snapshot=agent.snapshot.with_common(**changes))
