"""What an agent learns from: its streams, normalised, with value estimates and advantages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate, pairwise
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from dpg.agent import gaussian, networks, normalization
from dpg.agent.population import Population
from dpg.learning.objectives import normalize
from dpg.numerics.pytorch import Tensor, torch
from dpg.runtime.schema import AlgorithmConfig, Common
from dpg.streams import advantages
from dpg.streams.rollout import Streams


@dataclass(frozen=True)
class ValueEstimates:
    """N streams of a population in the units that its value nets are trained in."""

    reward: Float[np.ndarray, "N T"]
    value: Float[np.ndarray, "N T"]
    next_value: Float[np.ndarray, "N T"]
    done: Bool[np.ndarray, "N T"]
    gae_lambda: float

    def advantage(
        self, common: Common, pairs: int | None = None, streams: slice = slice(None)
    ) -> Float[np.ndarray, "M n"]:
        """GAE of the first `pairs` pairs of some streams, as if they had been cut there."""
        cut = (streams, slice(pairs))
        return advantages.gae(
            self.reward[cut],
            self.value[cut],
            self.next_value[cut],
            self.done[cut],
            common.gamma,
            self.gae_lambda,
        )


def estimate_values(
    population: Population, streams: Streams, common: Common, config: AlgorithmConfig
) -> ValueEstimates:
    """Scaled rewards and values of streams; stream k belongs to member k // (N / P).

    Without a baseline values are zero and lambda is 1, so that the advantage is the discounted return of what was
    recorded (paper, section 2.2).
    """
    num_streams, num_pairs = streams.reward.shape
    members = population.size
    reward = scale_reward(population, streams.reward.reshape(members, -1), config).reshape(num_streams, num_pairs)
    if common.baseline == "none":
        zero = np.zeros_like(reward)
        return ValueEstimates(reward, zero, zero, streams.done, gae_lambda=1.0)
    obs = population.normalize_obs(streams.obs.reshape(members, -1, streams.obs.shape[-1]))
    value = values(population, obs).reshape(num_streams, num_pairs)
    return assemble(streams, reward, value, _end_values(population, streams), common)


def assemble(
    streams: Streams,
    reward: Float[np.ndarray, "N T"],
    value: Float[np.ndarray, "N T"],
    end_value: Float[np.ndarray, " K"],
    common: Common,
) -> ValueEstimates:
    """The estimates of streams whose values are given, at every pair and, as `end_value`, at every `end_obs`."""
    next_value = np.zeros_like(value)
    next_value[:, :-1] = np.where(streams.done[:, :-1], 0.0, value[:, 1:])
    stream, step = streams.end_at.T
    if common.time_limit == "terminal":
        end_value = np.where(streams.truncated[stream, step], 0.0, end_value)
    next_value[stream, step] = end_value
    return ValueEstimates(reward, value, next_value, streams.done, common.gae_lambda)


def _end_values(population: Population, streams: Streams) -> Float[np.ndarray, " K"]:
    """Values of the observations at which streams were truncated or cut."""
    owner = streams.end_at[:, 0] // (len(streams.reward) // population.size)
    result = np.empty(len(owner))
    for index in range(population.size):
        mine = owner == index
        member = population.member(index)
        result[mine] = values(member, member.normalize_obs(streams.end_obs[None, mine]))[0]
    return result


def values(population: Population, obs: Float[np.ndarray, "P B O"]) -> Float[np.ndarray, "P B"]:
    """The value nets at normalised observations, in float64."""
    arrays = population.architecture.value_layout.unflatten(population.value)
    return networks.mlp(arrays, obs, population.architecture.activation)[..., 0].astype(np.float64)


def scale_reward(
    population: Population, reward: Float[np.ndarray, "P B"], config: AlgorithmConfig
) -> Float[np.ndarray, "P B"]:
    """Rewards in the units that the value net is trained in."""
    if config.reward_scaling:
        return normalization.scale(population.return_moments, reward, config.reward_clip)
    if config.reward_clip is not None:
        return np.clip(reward, -config.reward_clip, config.reward_clip)
    return reward


@dataclass(frozen=True)
class Batch:
    """B pairs of each agent, with all that updates need: tensors, or NumPy arrays. Advantages are not normalised."""

    obs: Float[Any, "P B O"]
    action: Float[Any, "P B A"]
    advantage: Float[Any, "P B"]
    value: Float[Any, "P B"]
    value_target: Float[Any, "P B"]
    old_mean: Float[Any, "P B A"]
    old_log_std: Float[Any, "P A"]
    old_log_prob: Float[Any, "P B"]

    def numpy(self) -> Self:
        """The batch as NumPy arrays, which share its memory."""
        return type(self)(**{each.name: getattr(self, each.name).numpy() for each in fields(self)})

    def minibatches(self, rngs: list[np.random.Generator], count: int) -> Iterator[Self]:
        """One epoch: every pair once, in `count` parts of (nearly) equal size, shuffled for each agent by its own."""
        pairs = self.obs.shape[1]
        shuffled = self.subset(np.stack([rng.permutation(pairs) for rng in rngs]))
        sizes = [pairs // count + (index < pairs % count) for index in range(count)]
        for first, end in pairwise([0, *accumulate(sizes)]):
            yield shuffled.cut(first, end)

    def cut(self, first: int, end: int) -> Self:
        """Pairs `first` to `end` of each agent; nothing is copied."""
        return type(self)(
            **{name: getattr(self, name)[:, first:end] for name in PER_PAIR}, old_log_std=self.old_log_std
        )

    def parts(self, pairs_at_once: int) -> Iterator[Self]:
        """Yield all pairs in order, in chunks; nothing is copied."""
        for first in range(0, self.obs.shape[1], pairs_at_once):
            yield self.cut(first, first + pairs_at_once)

    def normalized(self) -> Self:
        """The batch with its advantages normalised, for each agent (paper, eq. 15)."""
        return replace(self, advantage=normalize(self.advantage))

    @classmethod
    def concatenate(cls, batches: Sequence[Self]) -> Self:
        """The pairs of several batches of one population, in order."""
        joined = {name: torch.cat([getattr(batch, name) for batch in batches], dim=1) for name in PER_PAIR}
        return cls(**joined, old_log_std=batches[0].old_log_std)

    def subset(self, rows: Int[np.ndarray, "P n"]) -> Self:
        """Some pairs of each agent, in the order of `rows`."""
        members, pairs = self.obs.shape[:2]
        flat = rows + pairs * np.arange(members)[:, None]

        def take(values: Any) -> Any:
            if not isinstance(values, np.ndarray):
                return torch.from_numpy(take(values.numpy()))
            # several times faster than indexing by agent and pair
            return values.reshape(members * pairs, *values.shape[2:]).take(flat, axis=0)

        return type(self)(**{name: take(getattr(self, name)) for name in PER_PAIR}, old_log_std=self.old_log_std)


PER_PAIR = tuple(field.name for field in fields(Batch) if field.name != "old_log_std")


def prepare(population: Population, streams: Streams, common: Common, config: AlgorithmConfig) -> Batch:
    """The batch that a population learns from: all pairs of an agent's streams, with GAE and value targets."""
    members = population.size
    estimates = estimate_values(population, streams, common, config)
    advantage = estimates.advantage(common)

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.reshape(members, -1).astype(np.float32))

    obs = torch.from_numpy(population.normalize_obs(streams.obs.reshape(members, -1, streams.obs.shape[-1])))
    action = torch.from_numpy(streams.action.reshape(members, -1, streams.action.shape[-1]))
    mean, log_std = distribution(population, torch.from_numpy(population.policy), obs)
    return Batch(
        obs=obs,
        action=action,
        advantage=tensor(advantage),
        value=tensor(estimates.value),
        value_target=tensor(value_target(estimates, advantage, common)),
        old_mean=mean,
        old_log_std=log_std,
        old_log_prob=gaussian.log_prob(mean, log_std, action),
    )


# The lambda of the returns that the value net is fitted to. All three are V_old + A(lambda), as eq. 4 is.
_TARGET_LAMBDA = {"returns": 1.0, "td": 0.0}


def value_target(
    estimates: ValueEstimates, advantage: Float[np.ndarray, "N T"], common: Common
) -> Float[np.ndarray, "N T"]:
    """The value net's target: the lambda-return V_old + A(lambda); `advantage` is GAE.

    `gae` takes the advantages' own lambda (paper, eq. 4), `returns` the discounted return, with V_old for what a cut or
    a time limit keeps from being seen, and `td` the reward and V_old of the next state.
    """
    if common.value_target in _TARGET_LAMBDA:
        advantage = replace(estimates, gae_lambda=_TARGET_LAMBDA[common.value_target]).advantage(common)
    return estimates.value + advantage


def distribution(
    population: Population, policy: Float[Tensor, "P D"], obs: Float[Tensor, "#P B O"]
) -> tuple[Float[Tensor, "P B A"], Float[Tensor, "P A"]]:
    """Means and log standard deviations of P policies at normalised observations, their own or one set for all."""
    arrays = population.architecture.policy_layout.unflatten(policy)
    return networks.mlp(arrays, obs, population.architecture.activation), arrays["log_std"]
