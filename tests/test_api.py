"""Agents as functions act and earn as the laboratory's own loops have it."""

import gymnasium as gym
import numpy as np
import pytest

from dpg import api
from dpg.agent import snapshot
from dpg.agent.population import Architecture, initialize
from dpg.agent.snapshot import Snapshot
from dpg.runtime.seeding import Seed

ENV = "InvertedPendulum-v5"


@pytest.fixture(scope="module")
def path(make_recipe, tmp_path_factory):
    """An agent that has learned nothing, in a task whose episodes end early, in a file."""
    recipe = make_recipe("ppo", env_id=ENV)
    state = initialize(Architecture(4, 1, (16,), (16,), obs_clip=10.0), "xavier", [Seed(0) / "agent"])
    return snapshot.save(Snapshot(0, recipe, state), tmp_path_factory.mktemp("snapshots"))


@pytest.fixture(scope="module")
def policy(path):
    return api.load_policy(path)


def episode(policy: api.Policy, seed: Seed, *, deterministic: bool) -> tuple[float, int]:
    """One episode as a reader of the tutorial would run it, in Gymnasium's own environment."""
    env = gym.make(ENV)
    rng = None if deterministic else (seed / "actions").generator()
    obs, _ = env.reset(seed=(seed / "env").integer())
    return_, length, done = 0.0, 0, False
    while not done:
        obs, reward, terminated, truncated, _ = env.step(policy(obs, rng))
        return_, length, done = return_ + float(reward), length + 1, terminated or truncated
    env.close()
    return return_, length


@pytest.mark.parametrize("deterministic", [False, True])
def test_an_agent_earns_in_a_loop_of_ones_own_what_evaluate_says(policy, deterministic):
    found = api.evaluate(policy, 3, seed=5, deterministic=deterministic)
    own = [episode(policy, api.episode_seed(policy.snapshot, 5, k), deterministic=deterministic) for k in range(3)]
    assert list(zip(found.return_, found.length, strict=True)) == own
    assert found.mean == np.mean([return_ for return_, _ in own])
    assert found.interval.low <= found.mean <= found.interval.high


def test_other_seeds_are_other_episodes_and_the_same_seed_the_same(policy):
    first, again, other = (api.evaluate(policy, 4, seed).length.tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_observations_may_come_in_any_batch(policy):
    obs = np.random.default_rng(0).standard_normal((2, 3, 4))
    batch = policy(obs)
    assert batch.shape == (2, 3, 1)
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch[1, 2], policy(obs[1, 2]), rtol=1e-6)


def test_samples_scatter_about_the_mean_by_the_policys_own_deviation(policy):
    """Log standard deviations start at 0; the task's bounds are 3 of them away, so that a clip hardly bites."""
    obs = np.zeros((4000, 4))
    samples = policy(obs, np.random.default_rng(0))
    # 4 standard errors of a mean and of a standard deviation: a false alarm in some 10,000 seeds.
    assert abs(samples.mean() - policy(obs[0])[0]) < 4 / np.sqrt(4000)
    assert abs(samples.std() - 1) < 4 / np.sqrt(2 * 4000) + 0.01
    assert np.array_equal(samples, policy(obs, np.random.default_rng(0)))


def test_actions_are_clipped_where_training_clipped_them(policy):
    assert policy.low == [-3.0] and policy.high == [3.0]
    samples = policy(np.zeros((4000, 4)), np.random.default_rng(0))
    assert samples.max() == 3.0 or samples.min() == -3.0
    assert np.abs(samples).max() <= 3.0


def test_observations_of_another_task_are_refused(policy):
    with pytest.raises(ValueError, match=r"observations have 4 numbers, not shape \(2, 11\)"):
        policy(np.zeros((2, 11)))


def test_no_episodes_are_refused(policy):
    with pytest.raises(ValueError, match="num_episodes = 0: must be at least 1"):
        api.evaluate(policy, 0)


def test_snapshots_of_a_project_are_listed(path, tmp_path):
    places = ("train/Hopper-v4/ppo", "checkpoint/Hopper-v4/ppo/studied")
    for place in places:
        (tmp_path / "data" / place).mkdir(parents=True)
        (tmp_path / "data" / place / path.name).write_bytes(path.read_bytes())
        (tmp_path / "data" / place / "directions.safetensors").write_bytes(b"")
    assert api.snapshots(tmp_path) == sorted(tmp_path / "data" / place / path.name for place in places)
