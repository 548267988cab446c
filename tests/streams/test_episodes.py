"""Whole episodes: each settled beforehand, run to its end and counted once."""

from collections.abc import Iterator

import gymnasium as gym
import numpy as np
import pytest

from dpg.agent.acting import Actor
from dpg.agent.population import Population
from dpg.envs import stepping
from dpg.envs.make import EnvError, make_vector
from dpg.runtime.seeding import Seed
from dpg.streams.episodes import NOISE_BLOCK, Episodes, run
from tests import tasks  # noqa: F401 (registers them)


def seeds_for(members: int, episodes: int) -> list[list[Seed]]:
    return [[Seed(0) / f"member={p}" / f"episode={e}" for e in range(episodes)] for p in range(members)]


def measure(env_id: str, population: Population, seeds: list[list[Seed]], num_envs: int, **options) -> Episodes:
    envs = make_vector(env_id, num_envs)
    found = run(population, envs, seeds, **({"clip_actions": True} | options))
    envs.close()
    return found


def plain_episode(env_id: str, agent: Population, seed: Seed, deterministic: bool = False) -> tuple[float, int]:
    """One episode of one agent, in a plain loop over one Gymnasium environment."""
    env = gym.make(env_id)
    assert isinstance(env.action_space, gym.spaces.Box)
    noise = (seed / "actions").generator().standard_normal((1000, env.action_space.shape[0]), np.float32)
    obs, _ = env.reset(seed=(seed / "env").integer())
    total, length, done = 0.0, 0, False
    while not done:
        action = Actor.of(agent).act(obs[None], None if deterministic else noise[length : length + 1])[0]
        obs, reward, terminated, truncated, _ = env.step(np.clip(action, env.action_space.low, env.action_space.high))
        total, length, done = total + float(reward), length + 1, terminated or truncated
    env.close()
    return total, length


@pytest.mark.parametrize("deterministic", [False, True])
def test_returns_are_those_of_a_plain_loop(make_population, deterministic):
    population = make_population(2, obs_dim=11, action_dim=3)
    seeds = seeds_for(2, 3)
    found = measure("Hopper-v5", population, seeds, num_envs=2, deterministic=deterministic)
    for member in range(2):
        for number, seed in enumerate(seeds[member]):
            total, length = plain_episode("Hopper-v5", population.member(member), seed, deterministic)
            assert found.length[member, number] == length
            assert found.return_[member, number] == pytest.approx(total, rel=1e-4)


def test_long_episodes_draw_their_noise_in_one_unbroken_sequence(make_population):
    """MountainCarContinuous lasts longer than the noise that is drawn at a time."""
    agent = make_population(1, obs_dim=2, action_dim=1)
    seeds = seeds_for(1, 1)
    found = measure("MountainCarContinuous-v0", agent, seeds, num_envs=1)
    total, length = plain_episode("MountainCarContinuous-v0", agent, seeds[0][0])
    assert length > 2 * NOISE_BLOCK
    assert found.length[0, 0] == length
    assert found.return_[0, 0] == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("num_envs", [1, 3, 9], ids=lambda n: f"{n} environments")
def test_the_number_of_environments_changes_nothing(make_population, num_envs):
    """Six episodes: environments take several each, or stay idle."""
    population, seeds = make_population(2, obs_dim=4, action_dim=1), seeds_for(2, 3)
    expected = measure("InvertedPendulum-v5", population, seeds, num_envs=6)
    found = measure("InvertedPendulum-v5", population, seeds, num_envs=num_envs)
    np.testing.assert_array_equal(found.length, expected.length)
    np.testing.assert_allclose(found.return_, expected.return_, rtol=1e-9)


def test_every_episode_is_counted_once(make_population):
    """Each pair of InvertedPendulum is worth 1 but the last, and each of Pendulum's episodes has 200 pairs."""
    pendulum = measure("Pendulum-v1", make_population(2, obs_dim=3, action_dim=1), seeds_for(2, 4), num_envs=3)
    np.testing.assert_array_equal(pendulum.length, np.full((2, 4), 200))
    inverted = measure("InvertedPendulum-v5", make_population(2, obs_dim=4, action_dim=1), seeds_for(2, 4), num_envs=3)
    np.testing.assert_array_equal(inverted.return_, inverted.length - 1)
    assert len(np.unique(pendulum.return_)) == 8  # no episode stands for another


def test_members_that_share_policy_and_seeds_have_identical_returns(make_population):
    """Common random numbers: differences between members are then the policies' alone."""
    population = make_population(2, obs_dim=11, action_dim=3).select(np.array([0, 0, 1]))
    seeds = seeds_for(1, 3)[0]
    found = measure("Hopper-v5", population, [seeds, seeds, seeds], num_envs=4)
    np.testing.assert_array_equal(found.return_[0], found.return_[1])
    assert not np.any(found.return_[0] == found.return_[2])
    other = measure("Hopper-v5", population.member(0), seeds_for(2, 3)[1:], num_envs=3)
    assert not np.any(other.return_[0] == found.return_[0])


def test_clipping_reaches_the_environment(make_population):
    """Hopper's control cost is larger when it sees unclipped actions."""
    population = make_population(1, obs_dim=11, action_dim=3)
    policy = population.policy.copy()
    policy[:, -3:] = np.log(3.0)
    wide, seeds = population.with_policy(policy), seeds_for(1, 3)
    clipped = measure("Hopper-v5", wide, seeds, num_envs=3)
    unclipped = measure("Hopper-v5", wide, seeds, num_envs=3, clip_actions=False)
    np.testing.assert_array_equal(clipped.length, unclipped.length)  # the simulator clamps what it applies
    assert np.all(unclipped.return_ < clipped.return_)


def test_every_member_needs_its_own_row_of_seeds(make_population):
    """A member without seeds would be reported with returns of zero."""
    envs = make_vector("InvertedPendulum-v5", 2)
    with pytest.raises(ValueError, match="2"):
        run(make_population(2, obs_dim=4, action_dim=1), envs, seeds_for(1, 2), clip_actions=True)
    envs.close()


class _Explodes(gym.Env):
    """Three steps, the last of which is worth infinity in the episode whose seed is `culprit`."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, culprit: int) -> None:
        self.culprit = culprit

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.explodes, self.steps = seed == self.culprit, 0
        return np.zeros(2), {}

    def step(self, action):
        self.steps += 1
        over = self.steps == 3
        return np.zeros(2), np.inf if over and self.explodes else 1.0, over, False, {}


@pytest.fixture
def exploding() -> Iterator[str]:
    culprit = (seeds_for(2, 2)[1][0] / "env").integer()
    gym.register("Explodes-v0", entry_point=_Explodes, kwargs={"culprit": culprit})
    yield "Explodes-v0"
    del gym.registry["Explodes-v0"]


def test_a_return_that_is_not_finite_is_refused_by_its_episode(make_population, exploding):
    with pytest.raises(EnvError, match=r"not finite .*member=1/episode=0"):
        measure(exploding, make_population(2, obs_dim=2, action_dim=1), seeds_for(2, 2), num_envs=3)


def test_an_episode_that_does_not_end_is_given_up_and_named(make_population, monkeypatch):
    """Random actions end this task soon, so that no check before a training finds it."""
    monkeypatch.setattr(stepping, "MAX_EPISODE_PAIRS", 300)
    population = make_population(2, obs_dim=3, action_dim=1, policy_hidden=())
    policy = np.tile(np.array([0.0, 0.0, 0.0, -1.0, -5.0], np.float32), (2, 1))  # weights, bias, log std
    policy[0, 3] = 1.0
    with pytest.raises(EnvError, match=r"^EndlessOnceTrained-v0: .* after 300 steps .*member=1/episode=0\); .*max_ep"):
        measure("EndlessOnceTrained-v0", population.with_policy(policy), seeds_for(2, 2), num_envs=3)


def test_a_limit_of_the_tasks_own_is_honoured(make_population, monkeypatch):
    monkeypatch.setattr(stepping, "MAX_EPISODE_PAIRS", 10)
    found = measure("Base", make_population(1, obs_dim=3, action_dim=1), seeds_for(1, 2), num_envs=2)
    assert found.length.tolist() == [[20, 20]]
