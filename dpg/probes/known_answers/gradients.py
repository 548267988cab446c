"""Checks of gradient estimates: the gradient, its noise, its independent units, and its cosines."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from dpg.envs.linear_quadratic import EPISODE_STEPS
from dpg.numerics.statistics import of_pairs
from dpg.numerics.vectors import cosine, cosine_matrix
from dpg.probes.gradient_sums import GradientMoments, gradient_noise, pool, pseudo_values
from dpg.probes.known_answers import measurements
from dpg.probes.known_answers.agents import LONG, SHORT, KnownAgent, known_agent
from dpg.probes.known_answers.measurements import gradient_of
from dpg.probes.known_answers.noise import StreamNoise, expected_cosines
from dpg.probes.known_answers.verdicts import log_check, predicted_check, scalar_check, vector_checks
from dpg.streams.rollout import Streams
from dpg.tables.calibrate import Check

BASELINES = ("true value function", "value net", "none")
STREAMS_PER_SET = 64
SETS_POOLED = (2, 8)

Measure = Callable[[KnownAgent, Streams], GradientMoments]


def estimator_checks(seed: int, streams: int) -> list[Check]:
    """All checks, from `streams` streams of 10 pairs and some long ones."""
    sets = streams // STREAMS_PER_SET
    many = measurements.collect(known_agent("value net", SHORT), 2 * sets, STREAMS_PER_SET, seed)
    short = many[:sets]
    long = measurements.collect(known_agent("value net", LONG), sets // 4, 8, seed)
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
    checks: list[Check] = []

    def check(agent: KnownAgent, title: str, measure: Measure, *, broken: bool = False) -> None:
        values = pseudo_values([measure(agent, streams) for streams in sets], gradient_of)
        name = f"gradient, {title}, streams of {timesteps}"
        checks.extend(vector_checks(name, agent.gradient(), values, broken=broken))

    for baseline, agent in agents.items():
        check(agent, baseline, measurements.sound)
    exact, net = agents["true value function"], agents["value net"]
    check(exact, "gamma dropped", measurements.without_gamma, broken=True)
    check(net, "log_std left out of the score", measurements.without_log_std, broken=True)
    if timesteps > EPISODE_STEPS:
        check(exact, "time limits taken for ends", measurements.ending_at_time_limits, broken=True)
    else:
        values = np.stack([measurements.mean_of_normalized(net, streams) for streams in sets])
        name = f"gradient, union not normalised as one, streams of {timesteps}"
        checks.extend(vector_checks(name, net.gradient(), values, broken=True))
    return checks


def noise_checks(sets: list[Streams]) -> list[Check]:
    """The trace of one pair's gradient covariance and the noise scale, as in `noise.csv`, for each baseline."""
    checks: list[Check] = []
    for baseline, agent in known_agents(SHORT).items():
        noise = agent.noise()
        trace = float(np.trace(noise.covariance)) * agent.timesteps
        truths = {"trace": trace, "noise scale in pairs": trace / float(noise.gradient @ noise.gradient)}
        values = pseudo_values([measurements.sound(agent, streams) for streams in sets], log_noise)
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
    apart = [measurements.pairs_as_streams(exact, streams) for streams in sets]
    checks = [log_check("trace, from pairs", trace, pseudo_values(apart, log_noise)[:, 0], broken=True)]
    for measure, unit, broken in (
        (measurements.sound, "streams", False),
        (measurements.pairs_as_streams, "pairs", True),
    ):
        values = pseudo_values([measure(net, streams) for streams in sets], log_error)[:, 0]
        checks.append(log_check(f"standard error of the mean advantage, from {unit}", error, values, broken=broken))
    return checks + cosine_error_checks(noise, [measurements.sound(net, streams) for streams in sets])


def cosine_error_checks(noise: StreamNoise, parts: list[GradientMoments]) -> list[Check]:
    """The variance of a mean pairwise cosine, by the units of its interval, against the predicted one."""
    pooled = SETS_POOLED[0]
    estimates = [pool(parts[first : first + pooled]) for first in range(0, len(parts) + 1 - pooled, pooled)]
    count = len(estimates)
    truth = expected_cosines(noise, estimates[0][1].streams, count).among_std ** 2
    similarity = cosine_matrix(np.stack([gradient_of(part) for part in estimates]))
    units = {"estimates": of_pairs(similarity).values, "cosines": similarity[np.triu_indices(count, 1)]}
    return [
        scalar_check(
            f"variance of the mean cosine, from {unit}",
            truth,
            (values - values.mean()) ** 2 / (len(values) - 1),
            broken=unit == "cosines",
        )
        for unit, values in units.items()
    ]


def cosine_checks(sets: list[Streams]) -> list[Check]:
    """Mean cosines of estimates with the true gradient and with each other, at two sizes, against predicted ones.

    At 640 pairs, one set, estimates are not yet Gaussian enough for the prediction: several sets make one estimate.
    """
    agent = known_agent("value net", SHORT)
    noise = agent.noise()
    parts = [measurements.sound(agent, streams) for streams in sets]
    checks: list[Check] = []
    for pooled in SETS_POOLED:
        estimates = [pool(parts[first : first + pooled]) for first in range(0, len(parts) + 1 - pooled, pooled)]
        expected = expected_cosines(noise, estimates[0][1].streams, len(estimates))
        pairs = f"{int(estimates[0][0].pairs[0])} pairs"
        gradients = np.stack([gradient_of(part) for part in estimates])
        to_true = float(cosine(gradients, noise.gradient).mean())
        name = f"cosine with the true gradient, {pairs}"
        checks.append(predicted_check(name, expected.to_true, expected.to_true_std, to_true))
        among = of_pairs(cosine_matrix(gradients)).point
        checks.append(predicted_check(f"cosine with each other, {pairs}", expected.among, expected.among_std, among))
    return checks
