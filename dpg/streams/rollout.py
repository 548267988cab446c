"""Streams of state-action pairs from a population.

A stream starts from the task's initial distribution and has a fixed number of pairs from sampled actions, episode after
episode; the last episode is cut. Streams are the unit of independence: each has its own seed, so that it does not
depend on which others are collected with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Bool, Float, Int

from dpg.agent.acting import Actor
from dpg.envs.stepping import begin, step
from dpg.runtime.seeding import Seed
from dpg.streams.burn_in import Start


@dataclass(frozen=True)
class Streams:
    """N streams of T pairs: raw observations and rewards, unclipped actions.

    Args:
        end_obs: `end_obs[k]` is the observation after pair `end_at[k] = (stream, t)`, where a bootstrap value is taken:
            for every pair at which an episode was truncated, and for a last pair at which it was cut.
    """

    obs: Float[np.ndarray, "N T O"]
    action: Float[np.ndarray, "N T A"]
    reward: Float[np.ndarray, "N T"]
    terminated: Bool[np.ndarray, "N T"]
    truncated: Bool[np.ndarray, "N T"]
    end_obs: Float[np.ndarray, "K O"]
    end_at: Int[np.ndarray, "K 2"]

    def __post_init__(self) -> None:
        shape = self.reward.shape
        for name in ("obs", "action", "terminated", "truncated"):
            found = getattr(self, name).shape[:2]
            if found != shape:
                raise ValueError(f"{name} has streams x pairs {found}, rewards have {shape}")

    @property
    def done(self) -> Bool[np.ndarray, "N T"]:
        """Pairs after which an episode ended, terminated or truncated."""
        return self.terminated | self.truncated

    @property
    def num_episodes(self) -> Int[np.ndarray, " N"]:
        """Complete episodes in each stream."""
        return self.done.sum(axis=1)

    def head(self, pairs: int) -> "Streams":
        """The first `pairs` pairs of every stream, cut there."""
        length = self.reward.shape[1]
        if pairs > length:
            raise ValueError(f"streams of {length} pairs have no first {pairs}")
        kept = self.end_at[:, 1] < pairs
        running = np.flatnonzero(~self.done[:, pairs - 1]) if pairs < length else np.empty(0, np.int64)
        cut_at = np.stack([running, np.full_like(running, pairs - 1)], axis=1)
        cut_obs = self.obs[running, min(pairs, length - 1)]
        return Streams(
            *(getattr(self, name)[:, :pairs] for name in ("obs", "action", "reward", "terminated", "truncated")),
            end_obs=np.concatenate([self.end_obs[kept], cut_obs]),
            end_at=np.concatenate([self.end_at[kept], cut_at]),
        )

    @classmethod
    def concatenate(cls, parts: Sequence["Streams"]) -> "Streams":
        """The streams of several collections, in order."""
        offsets = np.cumsum([0] + [len(part.reward) for part in parts[:-1]])
        shifted = [part.end_at + np.array([offset, 0]) for part, offset in zip(parts, offsets, strict=True)]
        names = ("obs", "action", "reward", "terminated", "truncated", "end_obs")
        joined = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
        return cls(*joined, end_at=np.concatenate(shifted))


def collect(
    actor: Actor,
    envs: VectorEnv,
    seeds: Sequence[Seed],
    num_pairs: int,
    *,
    clip_actions: bool,
    watch: Callable[[int], None] | None = None,
    start: Start | None = None,
) -> Streams:
    """One stream of `num_pairs` pairs from every environment; environment k acts for member k // (N / P).

    `watch(t)` is called before pair t, with the environments in the state of that pair. With a `start` the streams
    continue from where `burn_in` left the environments, instead of resetting them.

    Raises:
        EnvError: an action, an observation or a reward is not finite; the message names the stream and the step.
    """
    num_streams = envs.num_envs
    if len(seeds) != num_streams or num_streams % actor.size:
        raise ValueError(f"{num_streams} streams need as many seeds, and a multiple of {actor.size} members")
    action_shape = envs.single_action_space.shape
    assert action_shape is not None
    noise = np.stack(
        [(seed / "actions").generator().standard_normal((num_pairs, *action_shape), np.float32) for seed in seeds],
        axis=1,
    )
    t = 0

    def locate(stream: int) -> tuple[int, Seed]:
        return t, seeds[stream]

    obs = begin(envs, [(seed / "env").integer() for seed in seeds], locate) if start is None else start.obs
    record_obs = np.empty((num_streams, num_pairs, obs.shape[1]))
    record_action = np.empty((num_streams, num_pairs, *action_shape), np.float32)
    reward = np.empty((num_streams, num_pairs))
    terminated = np.empty((num_streams, num_pairs), bool)
    truncated = np.empty((num_streams, num_pairs), bool)
    end_obs: list[np.ndarray] = []
    end_at: list[tuple[int, int]] = []
    for t in range(num_pairs):
        if watch is not None:
            watch(t)
        action = actor.act(obs, noise[t])
        record_obs[:, t] = obs
        record_action[:, t] = action
        obs, reward[:, t], terminated[:, t], truncated[:, t] = step(envs, action, locate, clip_actions=clip_actions)
        done, last = terminated[:, t] | truncated[:, t], t == num_pairs - 1
        if not (last or np.count_nonzero(done)):
            continue
        for stream in np.flatnonzero(~terminated[:, t] & (truncated[:, t] | last)):
            end_obs.append(obs[stream].copy())
            end_at.append((int(stream), t))
        if not last:
            obs = begin(envs, [None] * num_streams, locate, mask=done)
    return Streams(
        record_obs,
        record_action,
        reward,
        terminated,
        truncated,
        np.array(end_obs).reshape(-1, record_obs.shape[-1]),
        np.array(end_at, dtype=np.int64).reshape(-1, 2),
    )


def episode_returns(streams: Streams) -> tuple[list[Float[np.ndarray, " K"]], list[Int[np.ndarray, " K"]]]:
    """Raw undiscounted returns and lengths of the complete episodes of each stream."""
    returns, lengths = [], []
    for reward, done in zip(streams.reward, streams.done, strict=True):
        ends = np.flatnonzero(done) + 1
        cumulative = np.concatenate([[0.0], np.cumsum(reward)])[np.concatenate([[0], ends])]
        returns.append(np.diff(cumulative))
        lengths.append(np.diff(np.concatenate([[0], ends])))
    return returns, lengths
