"""Streams are what the environment gave, and each depends on its own seed alone."""

from collections.abc import Iterator

import gymnasium as gym
import numpy as np
import pytest

from dpg.agent.acting import Actor
from dpg.agent.population import Population
from dpg.envs.make import EnvError, make_vector
from dpg.runtime.seeding import Seed
from dpg.streams.rollout import Streams, collect, episode_returns

SEEDS = [Seed(0) / "stream" / index for index in range(3)]


def with_std(population: Population, std: float) -> Population:
    """The population with another standard deviation of its actions: the end of the policy vector."""
    policy = population.policy.copy()
    policy[:, -population.architecture.action_dim :] = np.log(std)
    return population.with_policy(policy)


def record(
    env_id: str, population: Population, seeds: list[Seed], num_pairs: int, clip_actions: bool = True
) -> Streams:
    envs = make_vector(env_id, len(seeds))
    streams = collect(Actor.of(population), envs, seeds, num_pairs, clip_actions=clip_actions)
    envs.close()
    return streams


def replay(env_id: str, seed: Seed, actions: np.ndarray) -> dict[str, np.ndarray]:
    """A plain loop over one Gymnasium environment with the actions of a stream."""
    env = gym.make(env_id)
    obs, _ = env.reset(seed=(seed / "env").integer())
    rows = []
    for action in actions:
        following, reward, terminated, truncated, _ = env.step(action)
        rows.append((obs, reward, terminated, truncated, following))
        obs = env.reset()[0] if terminated or truncated else following
    env.close()
    names = ("obs", "reward", "terminated", "truncated", "following")
    return {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


@pytest.mark.parametrize("clip_actions", [True, False])
def test_a_stream_is_what_a_plain_loop_records(make_population, clip_actions):
    """Hopper's control cost sees whether the action was clipped. What is recorded is the unclipped sample."""
    population = with_std(make_population(3, obs_dim=11, action_dim=3), 2.0)
    streams = record("Hopper-v5", population, SEEDS, 60, clip_actions)
    assert np.abs(streams.action).max() > 1  # Hopper's bounds are -1 and 1
    assert streams.terminated.any(axis=1).all()  # else resets would go unchecked
    for stream, seed in enumerate(SEEDS):
        actions = streams.action[stream]
        expected = replay("Hopper-v5", seed, np.clip(actions, -1, 1) if clip_actions else actions)
        for name in ("obs", "reward", "terminated", "truncated"):
            np.testing.assert_array_equal(getattr(streams, name)[stream], expected[name], err_msg=name)


def test_sampled_actions_are_the_policys_at_the_recorded_observations(make_population):
    population = make_population(1, obs_dim=11, action_dim=3)
    streams = record("Hopper-v5", population, SEEDS[:1], 40)
    noise = (SEEDS[0] / "actions").generator().standard_normal((40, 3), np.float32)
    expected = Actor.of(population).act(streams.obs[0], noise)
    np.testing.assert_allclose(streams.action[0], expected, rtol=1e-4, atol=1e-5)


def test_a_stream_does_not_depend_on_what_is_collected_beside_it(make_population):
    """To rounding: matrix products of other sizes may add up in another order."""
    population = make_population(3, obs_dim=4, action_dim=1)
    together = record("InvertedPendulum-v5", population, SEEDS, 50)
    for member in range(3):
        alone = record("InvertedPendulum-v5", population.member(member), [SEEDS[member]], 50)
        np.testing.assert_array_equal(alone.done[0], together.done[member])
        np.testing.assert_allclose(alone.obs[0], together.obs[member], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(alone.action[0], together.action[member], rtol=1e-5, atol=1e-5)

    # The same with one policy in all environments.
    shared = population.member(0)
    several = record("InvertedPendulum-v5", shared, SEEDS, 50)
    np.testing.assert_allclose(several.obs[0], together.obs[0], rtol=1e-5, atol=1e-6)


def test_streams_of_other_seeds_differ(make_population):
    streams = record("InvertedPendulum-v5", make_population(1, obs_dim=4, action_dim=1), SEEDS, 20)
    assert not np.any(streams.obs[0] == streams.obs[1])
    assert not np.any(streams.action[0] == streams.action[1])


def test_truncations_and_the_last_cut_are_where_bootstrap_values_are_taken(make_population):
    """Pendulum never terminates and is truncated after 200 pairs."""
    streams = record("Pendulum-v1", make_population(1, obs_dim=3, action_dim=1), SEEDS[:2], 450)
    assert not streams.terminated.any()
    np.testing.assert_array_equal(np.argwhere(streams.truncated), [[0, 199], [0, 399], [1, 199], [1, 399]])
    np.testing.assert_array_equal(streams.end_at, [[0, 199], [1, 199], [0, 399], [1, 399], [0, 449], [1, 449]])
    for (stream, step), end_obs in zip(streams.end_at, streams.end_obs, strict=True):
        following = replay("Pendulum-v1", SEEDS[stream], np.clip(streams.action[stream], -2, 2))["following"]
        np.testing.assert_array_equal(end_obs, following[step])


def test_a_truncation_at_the_last_pair_is_listed_once(make_population):
    streams = record("Pendulum-v1", make_population(1, obs_dim=3, action_dim=1), SEEDS[:1], 200)
    np.testing.assert_array_equal(streams.end_at, [[0, 199]])


def test_a_termination_has_no_bootstrap_value_not_even_at_the_last_pair(make_population):
    population = make_population(1, obs_dim=4, action_dim=1)
    longer = record("InvertedPendulum-v5", population, SEEDS[:1], 100)
    ends = np.flatnonzero(longer.terminated[0])
    assert len(ends) > 1
    np.testing.assert_array_equal(longer.end_at, [[0, 99]])
    shorter = record("InvertedPendulum-v5", population, SEEDS[:1], int(ends[1]) + 1)
    assert shorter.terminated[0, -1]
    assert shorter.end_at.shape == (0, 2)
    assert shorter.end_obs.shape == (0, 4)


@pytest.mark.parametrize("pairs", [199, 200, 201, 300, 449, 450])
def test_the_head_of_a_stream_is_the_stream_collected_shorter(make_population, pairs):
    population = make_population(1, obs_dim=3, action_dim=1)
    head = record("Pendulum-v1", population, SEEDS[:2], 450).head(pairs)
    shorter = record("Pendulum-v1", population, SEEDS[:2], pairs)
    for name in ("obs", "action", "reward", "terminated", "truncated", "end_at", "end_obs"):
        np.testing.assert_array_equal(getattr(head, name), getattr(shorter, name), err_msg=name)


def test_the_head_does_not_bootstrap_after_a_termination(make_streams):
    head = make_streams(2, 12, terminated=((0, 5),)).head(6)
    np.testing.assert_array_equal(head.end_at, [[1, 5]])


def test_a_head_longer_than_the_stream_is_refused(make_streams):
    with pytest.raises(ValueError, match="12 pairs have no first 13"):
        make_streams(2, 12).head(13)


def test_concatenated_streams_keep_their_ends(make_streams):
    parts = [make_streams(2, 6, truncated=((1, 2),)), make_streams(1, 6, terminated=((0, 5),)), make_streams(3, 6)]
    joined = Streams.concatenate(parts)
    assert joined.reward.shape == (6, 6)
    np.testing.assert_array_equal(joined.obs[3:], parts[2].obs)
    np.testing.assert_array_equal(joined.done, np.concatenate([part.done for part in parts]))
    # Parts 0 and 2 end in bootstrap values at streams 0, 1 and at streams 3, 4, 5; stream 2 terminates.
    np.testing.assert_array_equal(joined.end_at, [[1, 2], [0, 5], [1, 5], [3, 5], [4, 5], [5, 5]])
    np.testing.assert_array_equal(joined.end_obs, np.concatenate([part.end_obs for part in parts]))


def test_episode_returns_count_complete_episodes_only(make_streams):
    ends = {"terminated": ((0, 3), (2, 11)), "truncated": ((0, 4), (0, 9))}
    streams = make_streams(3, 12, **ends)
    returns, lengths = episode_returns(streams)
    expected: list[list[float]] = [[], [], []]
    for stream in range(3):
        total = 0.0
        for t in range(12):
            total += streams.reward[stream, t]
            if streams.done[stream, t]:
                expected[stream].append(total)
                total = 0.0
    for stream in range(3):
        np.testing.assert_allclose(returns[stream], expected[stream])
    assert [row.tolist() for row in lengths] == [[4, 1, 5], [], [12]]
    np.testing.assert_array_equal(streams.num_episodes, [3, 0, 1])


def test_streams_and_seeds_must_match_the_environments(make_population):
    envs = make_vector("InvertedPendulum-v5", 3)
    actor = Actor.of(make_population(2, obs_dim=4, action_dim=1))
    with pytest.raises(ValueError, match="3 streams need as many seeds, and a multiple of 2 members"):
        collect(actor, envs, SEEDS, 5, clip_actions=True)
    with pytest.raises(ValueError, match="as many seeds"):
        collect(Actor.of(make_population(1, obs_dim=4, action_dim=1)), envs, SEEDS[:2], 5, clip_actions=True)
    envs.close()


class _Breaks(gym.Env):
    """After five steps, what `part` names is not a number, in the environment whose seed is `culprit`."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, part: str, culprit: int) -> None:
        self.part, self.culprit = part, culprit

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.breaks, self.steps = seed == self.culprit, 0
        return np.zeros(2), {}

    def step(self, action):
        self.steps += 1
        broken = self.breaks and self.steps >= 5
        obs = np.array([0.0, np.nan]) if broken and self.part == "obs" else np.zeros(2)
        return obs, np.inf if broken and self.part == "reward" else 1.0, False, False, {}


@pytest.fixture(params=["obs", "reward"])
def breaking(request) -> Iterator[str]:
    culprit = (SEEDS[1] / "env").integer()
    gym.register("Breaks-v0", entry_point=_Breaks, kwargs={"part": request.param, "culprit": culprit})
    yield request.param
    del gym.registry["Breaks-v0"]


def test_what_is_not_finite_is_refused_by_stream_and_step(make_population, breaking):
    when = "after" if breaking == "obs" else "at"
    with pytest.raises(EnvError, match=f"Breaks-v0: the {breaking} {when} step 4 is not finite .*stream/1"):
        record("Breaks-v0", make_population(1, obs_dim=2, action_dim=1), SEEDS, 20)


def test_an_observation_that_is_not_finite_at_the_cut_is_refused(make_population, breaking):
    """It is recorded in `end_obs` alone, and a bootstrap value would be taken at it."""
    with pytest.raises(EnvError, match=r"is not finite .*stream/1"):
        record("Breaks-v0", make_population(1, obs_dim=2, action_dim=1), SEEDS, 5)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_an_action_that_is_not_finite_is_refused(make_population, broken):
    """Clipped, an infinite one is as good as any, and a task that clips for itself hides the other."""
    population = make_population(1, obs_dim=4, action_dim=1, policy_hidden=())
    policy = population.policy.copy()
    policy[:, 4] = broken  # the bias of the mean
    with pytest.raises(EnvError, match=r"InvertedPendulum-v5: the action at step 0 is not finite .*stream/0"):
        record("InvertedPendulum-v5", population.with_policy(policy), SEEDS, 5)
