"""Agents on LinearQuadratic-v0 whose measurements have closed forms: a linear policy and a linear value net.

Agents see normalised observations. A policy without hidden layers is linear in them, hence in the raw ones, and the
map from its vector to K, k and log_std is linear too: its Jacobian carries gradients over exactly.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from dpg.agent.normalization import Moments
from dpg.agent.population import AdamState, Architecture, Population
from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot
from dpg.algorithms.ppo import PPOConfig
from dpg.envs.linear_quadratic import ENV_ID, EPISODE_STEPS, TASK
from dpg.probes.known_answers import closed_forms, forms
from dpg.probes.known_answers.closed_forms import ClosedLoop, LinearPolicy
from dpg.probes.known_answers.forms import Form
from dpg.probes.known_answers.noise import StreamNoise, stack, stream_noise
from dpg.runtime.schema import Common

GAMMA = 0.95
GAE_LAMBDA = 0.9
# T of short streams, whose noise has a closed form, and of long ones: a whole episode, and part of another.
SHORT, LONG = 10, 250


@dataclass(frozen=True)
class KnownAgent:
    """A snapshot, and the value function inside its advantages as a form: its net's, zero, or the true one.

    With `exact` it is the true one, which the snapshot's net cannot represent: the probe must be given its values. With
    a `baseline`, advantages are discounted returns minus the baseline, bootstrapped with the value function.
    """

    snapshot: Snapshot
    value: Form
    exact: bool
    baseline: Form | None = None

    @property
    def loop(self) -> ClosedLoop:
        """The task under the agent's policy."""
        return closed_loop(self.snapshot.state)

    @property
    def gae_lambda(self) -> float:
        """1 for discounted returns, and without a baseline, as in `dpg.learning.batch.estimate_values`."""
        common = self.snapshot.recipe.common
        return 1.0 if common.baseline == "none" or self.baseline is not None else common.gae_lambda

    @property
    def timesteps(self) -> int:
        """T."""
        return self.snapshot.recipe.common.timesteps

    def gradient(self) -> Float[np.ndarray, " D"]:
        """The limit of `GradientSums.gradient()` for many streams: E[score GAE] / sigma(GAE)."""
        episodes = closed_forms.blocks(self.timesteps, EPISODE_STEPS)
        raw = closed_forms.stream_gradient(self.loop, self.value, GAMMA, self.gae_lambda, episodes)
        moments = [
            closed_forms.advantage_moments(self.loop, self.value, GAMMA, self.gae_lambda, length) for length in episodes
        ]
        mean, square = (np.concatenate(parts).mean() for parts in zip(*moments, strict=True))
        return jacobian(self.snapshot.state).T @ raw / np.sqrt(square - mean**2)

    def noise(self) -> StreamNoise:
        """The moments of one stream's gradient, for streams shorter than an episode."""
        if self.timesteps > EPISODE_STEPS:
            raise ValueError(f"the noise of streams longer than an episode ({EPISODE_STEPS} pairs) is not computed")
        raw = stream_noise(*stack(self.loop, self.value, GAMMA, self.gae_lambda, self.timesteps, self.baseline))
        chain = jacobian(self.snapshot.state)
        return replace(raw, gradient=chain.T @ raw.gradient, covariance=chain.T @ raw.covariance @ chain)


def known_agent(baseline: str, timesteps: int) -> KnownAgent:
    """The agent with `baseline` 'true value function', 'value net' or 'none', and streams of `timesteps` pairs.

    The parameters are arbitrary and generic; closed forms need them without reward scaling and clips.
    """
    architecture = Architecture(obs_dim=3, action_dim=2, policy_hidden=(), value_hidden=(), obs_clip=None)
    policy = architecture.policy_layout.flatten(
        {
            "w0": np.array([[-0.2, 0.1], [-0.25, -0.3], [0.1, 0.25]]),
            "b0": np.array([0.05, -0.1]),
            "log_std": np.array([-0.7, -0.3]),
        }
    )
    value = architecture.value_layout.flatten({"w0": np.array([[1.5], [0.5], [0.3]]), "b0": np.array([-15.0])})
    state = Population(
        architecture=architecture,
        policy=policy[None].astype(np.float32),
        value=value[None].astype(np.float32),
        policy_adam=AdamState.zeros(1, len(policy)),
        value_adam=AdamState.zeros(1, len(value)),
        obs_moments=Moments(np.array([1e4]), np.array([[0.3, -0.2, 0.1]]), np.array([[0.5, 0.3, 0.4]])),
        return_moments=Moments(np.array([1e4]), np.array([[-10.0]]), np.array([[9.0]])),
        iteration=0,
    )
    snapshot = Snapshot(0, _recipe(baseline, timesteps), state)
    values = {
        "true value function": closed_forms.value_function(closed_loop(state), GAMMA),
        "value net": value_net(state),
        "none": forms.constant(0.0, 3),
    }
    return KnownAgent(snapshot, values[baseline], exact=baseline == "true value function")


def _recipe(baseline: str, timesteps: int) -> Recipe:
    common = Common(
        timesteps=timesteps,
        gamma=GAMMA,
        gae_lambda=GAE_LAMBDA,
        policy_hidden=(),
        value_hidden=(),
        time_limit="bootstrap",
        clip_actions=True,
        baseline="none" if baseline == "none" else "value",
        value_target="gae",
        divergence_kl=10.0,
    )
    config = PPOConfig(
        lr=1e-4,
        epochs=1,
        minibatches=1,
        clip_eps=0.2,
        entropy_coef=0.0,
        value_lr=0.0,
        value_epochs=0,
        value_minibatches=1,
        adam_eps=1e-5,
        reward_scaling=False,
        reward_clip=None,
        obs_clip=None,
        init="xavier",
        anneal=False,
        value_clip=None,
    )
    return Recipe(env_id=ENV_ID, algorithm="ppo_m", common=common, config=config, iterations=1, seed=0)


def linear_policy(state: Population, vector: Float[np.ndarray, " D"]) -> LinearPolicy:
    """The policy of a vector on raw observations: K = (W / std)', k = b - W'(mean / std)."""
    arrays = state.architecture.policy_layout.unflatten(vector.astype(np.float64))
    gain = arrays["w0"] / state.obs_moments.std[0][:, None]
    offset = arrays["b0"] - state.obs_moments.mean[0] @ gain
    return LinearPolicy(np.column_stack([gain.T, offset]), arrays["log_std"])


def closed_loop(state: Population) -> ClosedLoop:
    """The task under a population's one policy."""
    return ClosedLoop(TASK, linear_policy(state, state.policy[0]))


def jacobian(state: Population) -> Float[np.ndarray, "D D"]:
    """d (K, k, log_std) / d vector, in the orders of the two layouts: `jacobian.T @ raw gradient` is the agent's."""
    columns: list[np.ndarray] = []
    for unit in np.eye(state.architecture.policy_layout.size):
        policy = linear_policy(state, unit)
        columns.append(policy.layout.flatten({"mean": policy.mean, "log_std": policy.log_std}))
    return np.stack(columns, axis=1)


def tangent(state: Population, value: Form, at: Float[np.ndarray, " O"]) -> Float[np.ndarray, " D"]:
    """The value vector of the tangent plane of a form at one raw observation."""
    slope = 2 * (value @ np.append(at, 1.0))[:-1]
    moments = state.obs_moments
    height = forms.evaluate(value, at[None])[0] + slope @ (moments.mean[0] - at)
    arrays = {"w0": (slope * moments.std[0])[:, None], "b0": np.array([height])}
    return state.architecture.value_layout.flatten(arrays).astype(np.float32)


def value_net(state: Population) -> Form:
    """The linear value net on raw observations, as a form."""
    arrays = state.architecture.value_layout.unflatten(state.value[0].astype(np.float64))
    slope = arrays["w0"][:, 0] / state.obs_moments.std[0]
    form = forms.constant(float(arrays["b0"][0] - state.obs_moments.mean[0] @ slope), len(slope))
    form[:-1, -1] = form[-1, :-1] = slope / 2
    return form
