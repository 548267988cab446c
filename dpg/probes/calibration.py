"""Every estimator against a known answer, and the same checks against estimators that are broken on purpose.

`calibrate` measures agents of `dpg.probes.known_answers.agents` on LinearQuadratic-v0 as the probes would, and sets
each result beside its closed form. A sound estimator must pass and a broken one be rejected: a check that cannot fail
says nothing. The limit of 4 normal deviations gives a sound estimator a false alarm in 16,000; all checks of one
calibration together, one in 300 at the most.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from dpg.agent.acting import Actor
from dpg.envs.linear_quadratic import EPISODE_STEPS, TASK
from dpg.envs.make import make_vector
from dpg.envs.stepping import step
from dpg.numerics.statistics import of_pairs
from dpg.numerics.vectors import cosine, cosine_matrix
from dpg.probes import baselines, evaluation, landscape, state_rollouts, value
from dpg.probes.gradient_sums import GradientMoments, gradient_noise, pool, pseudo_values
from dpg.probes.known_answers import closed_forms, forms, measurements
from dpg.probes.known_answers.agents import GAMMA, KnownAgent, known_agent, linear_policy, tangent, value_net
from dpg.probes.known_answers.claims import claim_checks
from dpg.probes.known_answers.closed_forms import ClosedLoop
from dpg.probes.known_answers.measurements import gradient_of
from dpg.probes.known_answers.noise import StreamNoise, expected_cosines
from dpg.probes.known_answers.update_gains import update_gain_checks
from dpg.probes.known_answers.verdicts import (
    Check,
    log_check,
    predicted_check,
    scalar_check,
    vector_checks,
)
from dpg.runtime.budgets import BaselinesBudget
from dpg.runtime.seeding import Seed
from dpg.streams import advantages
from dpg.streams.rollout import Streams

BASELINES = ("true value function", "value net", "none")
# Short enough for the noise's closed form; long enough for a whole episode, truncated, and a part of another, cut.
SHORT, LONG = 10, 250
STREAMS_PER_SET = 64
SETS_POOLED = (2, 8)
MIN_STREAMS = 16384
STATES = ((0.0, 0.0, 0.0), (2.0, -1.0, 1.0), (-1.5, 2.0, -2.0))


Measure = Callable[[KnownAgent, Streams], GradientMoments]


@dataclass(frozen=True)
class Shard:
    """One calibration."""

    streams: int
    seed: int = 0


def measure(shard: Shard) -> list[Check]:
    """All checks."""
    return calibrate(shard.seed, shard.streams)


def calibrate(seed: int = 0, streams: int = MIN_STREAMS) -> list[Check]:
    """All checks: sound estimators first, then broken ones. `streams` streams of 10 pairs stand behind a gradient.

    Twice as many tell streams from pairs: on this task the two differ least in that.

    Raises:
        ValueError: there are too few streams for the broken ones to be told from the sound.
    """
    if streams < MIN_STREAMS:
        raise ValueError(f"a calibration needs at least {MIN_STREAMS} streams, not {streams}")
    sets = streams // STREAMS_PER_SET
    many = measurements.collect(known_agent("value net", SHORT), 2 * sets, STREAMS_PER_SET, seed)
    short = many[:sets]
    long = measurements.collect(known_agent("value net", LONG), sets // 4, 8, seed)
    checks = [
        *gradient_checks(known_agents(SHORT), short),
        *gradient_checks(known_agents(LONG), long),
        *noise_checks(short),
        *unit_checks(many),
        *cosine_checks(short),
        *return_checks(seed, streams),
        *value_checks(seed, streams),
        *state_checks(seed, streams),
        *baseline_checks(seed, streams),
        *landscape_checks(seed, streams),
        *update_gain_checks(seed, streams),
        *claim_checks(seed),
    ]
    return sorted(checks, key=lambda check: check.broken)


def known_agents(timesteps: int) -> dict[str, KnownAgent]:
    """One agent for each baseline; their policies are the same."""
    return {baseline: known_agent(baseline, timesteps) for baseline in BASELINES}


def gradient_checks(agents: dict[str, KnownAgent], sets: list[Streams]) -> list[Check]:
    """The gradient from pooled streams, for each baseline. What is broken depends on what the streams can show."""
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
    """Pairs of what is taken for an independent stream."""
    sums, products = part
    return float(sums.pairs[0]) / products.streams


def unit_checks(sets: list[Streams]) -> list[Check]:
    """What is independent: streams, not their pairs; estimates, not their cosines.

    The trace with the true value function and the error of the mean advantage are measured with pairs taken for the
    streams; the error of a mean cosine with the cosines taken for the estimates that they are made from.
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


def return_checks(seed: int, streams: int) -> list[Check]:
    """Discounted returns from states that are set, against V there; V closes the sum after 60 steps."""
    agent = known_agent("true value function", LONG)
    checks: list[Check] = []
    for index, state in enumerate(STATES):
        reward, end_obs = rewards_from(agent, np.array(state), streams // 8, 60, Seed(seed) / "returns" / index)
        done, after_end = np.zeros(reward.shape, bool), np.zeros(reward.shape)
        after_end[:, -1] = forms.evaluate(agent.value, end_obs)
        truth = float(forms.evaluate(agent.value, np.array(state)[None])[0])
        for gamma, title in ((GAMMA, ""), (1.0, ", gamma dropped")):
            returns = advantages.discounted_return(reward, done, after_end, gamma)[:, 0]
            name = f"discounted return from state {index}{title}"
            checks.append(scalar_check(name, truth, returns, broken=gamma != GAMMA))
    return checks


def rewards_from(
    agent: KnownAgent, state: Float[np.ndarray, " O"], streams: int, steps: int, seed: Seed
) -> tuple[Float[np.ndarray, "N T"], Float[np.ndarray, "N O"]]:
    """Rewards of `steps` steps from one state, and the observations after them."""
    actor = Actor.of(agent.snapshot.state)
    envs = make_vector(agent.snapshot.recipe.env_id, streams)
    # One number stands for as many seeds in a row.
    obs, _ = envs.reset(seed=(seed / "env").integer(), options={"state": np.tile(state, (streams, 1))})
    noise = (seed / "actions").generator().standard_normal((steps, streams, 2), np.float32)
    reward = np.empty((streams, steps))
    for t in range(steps):
        action = actor.act(obs, noise[t])
        obs, reward[:, t], *_ = step(envs, action, lambda _, t=t: (t, seed), clip_actions=False)
    return reward, obs


def value_checks(seed: int, streams: int) -> list[Check]:
    """The value probe's explained variance of the value net against discounted returns, on held-out streams.

    The net does not learn, so that V is known. Scored are the pairs whose return the probe takes for known; broken is
    to take all of a stream's for known.
    """
    agent = known_agent("value net", EPISODE_STEPS)
    predicted = value_net(agent.snapshot.state)
    horizon = advantages.horizon(GAMMA)
    # The probe records H pairs more than it scores: the start of a second episode.
    known, everything = [(EPISODE_STEPS, EPISODE_STEPS - horizon)], [(EPISODE_STEPS, EPISODE_STEPS)]
    found = np.array([_explained_variance(agent, streams // 256, Seed(seed) / "value" / index) for index in range(48)])
    name = "explained variance of returns"
    return [
        scalar_check(name, closed_forms.explained_variance(agent.loop, predicted, GAMMA, scored), found, broken=broken)
        for scored, name, broken in ((known, name, False), (everything, f"{name}, unknown ones counted", True))
    ]


def _explained_variance(agent: KnownAgent, streams: int, seed: Seed) -> float:
    """As the value probe has it, for the net against the returns of held-out streams."""
    rows = value.measure(value.ValueShard(agent.snapshot, streams * agent.timesteps, seed.integer()))
    (found,) = [row.explained_variance for row in rows if (row.split, row.target) == ("heldout", "returns")]
    return found


def state_checks(seed: int, streams: int) -> list[Check]:
    """Rollouts from states that are set, against the expected return of as many pairs there, state by state.

    Broken is to take time limits for ends: states late in their episodes then lose what follows.
    """
    agent = known_agent("value net", LONG)
    steps = 1 + advantages.horizon(GAMMA)
    zero = forms.constant(0.0, 3)
    expected = agent.loop.over_actions(closed_forms.advantages(agent.loop, zero, GAMMA, 1.0, steps)[-1])
    moments = agent.snapshot.state.obs_moments
    truncating = measurements.with_common(agent, time_limit="terminal")
    checks: list[Check] = []
    for title, snapshot in (("", agent.snapshot), (", time limits taken for ends", truncating.snapshot)):
        found = state_rollouts.measure(state_rollouts.RolloutShard(snapshot, streams // 36, 8, seed))
        truth = forms.evaluate(expected, found.obs * moments.std + moments.mean)
        # The mean of the truths stands for truth: states are drawn.
        gap = found.return_.mean(axis=1) - truth
        name = f"mean value at states, by rollouts{title}"
        checks.append(scalar_check(name, float(truth.mean()), gap + truth.mean(), broken=bool(title)))
    return checks


def baseline_checks(seed: int, streams: int) -> list[Check]:
    """Mean cosines of estimates with each other for every baseline and way, from the same streams, against theory.

    In the place of V* is a plane that touches V: a net too, and a better one than the agent's. Broken is to mistake one
    baseline's weights for another's.
    """
    agent = known_agent("value net", SHORT)
    state = agent.snapshot.state
    vector = tangent(state, closed_forms.value_function(agent.loop, GAMMA), agent.loop.initial.mean)
    pairs = SETS_POOLED[0] * STREAMS_PER_SET * SHORT
    budget = BaselinesBudget(repeats=streams // 512, sizes=(pairs,))
    shards = baselines.plan([agent.snapshot], [vector], budget, seed)
    (found,) = baselines.gather(shards, map(baselines.measure, shards))
    expected = {
        variant: expected_cosines(each.noise(), pairs // SHORT, budget.repeats)
        for variant, each in baseline_agents(agent, vector).items()
    }
    distinct_pairs = np.triu_indices(budget.repeats, 1)
    among = {variant: float(cosines[0][distinct_pairs].mean()) for variant, cosines in found.cosines.items()}

    def check(title: str, predicted: tuple[str, str], measured: tuple[str, str], *, broken: bool = False) -> Check:
        truth = expected[predicted]
        name = f"cosine with each other, {pairs} pairs, {title}"
        return predicted_check(name, truth.among, truth.among_std, among[measured], broken=broken)

    names = {"gae": "in GAE", "returns": "off returns"}
    checks = [check(f"{b} {names[way]}", (b, way), (b, way)) for b, way in baselines.VARIANTS]
    checks.append(check("zero's weights in GAE", ("true value", "gae"), ("zero", "gae"), broken=True))
    checks.append(check("the net's off returns", ("true value", "returns"), ("value net", "returns"), broken=True))
    return checks


def baseline_agents(agent: KnownAgent, vector: Float[np.ndarray, " D"]) -> dict[tuple[str, str], KnownAgent]:
    """What the baselines' probe measures on an agent, V* being the net of `vector`, by baseline and way."""
    better = value_net(replace(agent.snapshot.state, value=vector[None]))
    zero = forms.constant(0.0, 3)
    values = {"true value": better, "value net": agent.value, "zero": zero}
    without = known_agent("none", agent.timesteps)
    in_gae = {name: without if name == "zero" else replace(agent, value=form) for name, form in values.items()}
    return {
        (name, way): in_gae[name] if way == "gae" else replace(agent, value=better, baseline=values[name])
        for name, way in baselines.VARIANTS
    }


def landscape_checks(seed: int, streams: int) -> list[Check]:
    """Mean returns of whole episodes along a line of policies, and the difference of its ends with common noise."""
    agent = known_agent("value net", LONG)
    state, episodes = agent.snapshot.state, streams // 128
    direction = np.resize([0.3, -0.2, 0.1, 0.15], state.policy.shape[1])
    line = np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    plane = landscape.PlaneShard(agent.snapshot, line, agent.timesteps, random_norm=1.0, seed=seed)
    nothing = np.zeros_like(direction)
    shard = landscape.RewardShard(plane, direction, nothing, np.arange(3), 0, episodes, common_random_numbers=True)
    found = landscape.measure_rewards(shard).return_
    theta = landscape.policies(agent.snapshot, line, direction, nothing)
    loops = [ClosedLoop(TASK, linear_policy(state, vector)) for vector in theta]
    truths = [closed_forms.episode_return(loop, EPISODE_STEPS) for loop in loops]
    checks = [
        scalar_check(f"landscape, return at {a:+d}", truth, returns)
        for a, truth, returns in zip((-1, 0, 1), truths, found, strict=True)
    ]
    checks.append(scalar_check("landscape, rise from -1 to +1", truths[2] - truths[0], found[2] - found[0]))
    still = replace(loops[1].policy, log_std=np.full(2, -np.inf))
    modes = {"sampled": loops[1], "deterministic": ClosedLoop(TASK, still)}
    returns = {
        mode: evaluation.measure(evaluation.EvaluationShard(agent.snapshot, mode, episodes, seed)).return_[0]
        for mode in modes
    }
    for mode, loop in modes.items():
        truth = closed_forms.episode_return(loop, EPISODE_STEPS)
        checks.append(scalar_check(f"evaluation, {mode} actions", truth, returns[mode]))
    name = "evaluation, deterministic actions for sampled ones"
    checks.append(scalar_check(name, truths[1], returns["deterministic"], broken=True))
    return checks
