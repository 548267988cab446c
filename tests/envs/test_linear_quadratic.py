"""LinearQuadratic-v0: its equations, and every environment of a vector against one alone to the last bit."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from dpg.envs.linear_quadratic import ENV_ID, EPISODE_STEPS, TASK, LinearQuadraticVectorEnv
from dpg.envs.make import make_vector, reset

SEEDS = [11, 12, 13]


def reference(num_envs: int = len(SEEDS)) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: gym.make(ENV_ID)] * num_envs, autoreset_mode=AutoresetMode.DISABLED)


def random_actions(num_steps: int, num_envs: int, scale: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (scale * rng.standard_normal((num_steps, num_envs, 2))).astype(np.float32)


def play(envs: gym.vector.VectorEnv, actions: np.ndarray, seeds: list[int]) -> list[np.ndarray]:
    """All that the environments return."""
    rows = [envs.reset(seed=list(seeds))[0].copy()]
    for action in actions:
        *returned, _ = envs.step(action)
        rows += [value.copy() for value in returned]
        done = returned[2] | returned[3]
        if done.any():
            rows.append(envs.reset(options={"reset_mask": done})[0].copy())
    return rows


@pytest.mark.parametrize("num_envs", [1, 7, 64])
def test_an_environment_is_the_same_whatever_stands_beside_it(num_envs):
    """As `gymnasium.make` has it, to the last bit: a matrix product by BLAS would round by the number of rows."""
    alone, crowd = reference(1), make_vector(ENV_ID, num_envs)
    assert isinstance(crowd, LinearQuadraticVectorEnv)
    actions = random_actions(450, 1)
    crowded = np.concatenate([random_actions(450, num_envs - 1, scale=3), actions], axis=1)
    found = play(crowd, crowded, [*range(100, 100 + num_envs - 1), 5])
    for a, b in zip(found, play(alone, actions, [5]), strict=True):
        np.testing.assert_array_equal(a[-1:], b)


def test_spaces_are_unbounded_and_the_single_environments():
    ours, theirs = make_vector(ENV_ID, 3), reference()
    for name in ("single_observation_space", "single_action_space", "observation_space", "action_space"):
        assert getattr(ours, name) == getattr(theirs, name), name
    space = ours.single_action_space
    np.testing.assert_array_equal(np.clip([1e30, -1e30], space.low, space.high), [1e30, -1e30])
    assert ours.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    theirs.close()


@pytest.mark.filterwarnings("ignore:.*(minimum|maximum) value is -?infinity:UserWarning")
@pytest.mark.filterwarnings("ignore:.*symmetric and normalized space:UserWarning")
def test_it_passes_gymnasiums_checker():
    check_env(gym.make(ENV_ID).unwrapped)


def test_one_step_by_hand():
    """s = (1, 2, 3), a = (10, 20): cost 1 + 4 + 4.5 + 2 * 0.2 * 2 for the state, 10 + 80 + 2 * 0.02 * 200 for a."""
    state, action = np.array([[1.0, 2.0, 3.0]]), np.array([[10.0, 20.0]])
    assert TASK.reward(state, action) == pytest.approx(-(10.3 + 98))
    expected = [0.9 + 0.4 + 4.0, -0.1 + 1.6 + 0.6 + 3.0, -0.4 + 2.1 + 1.0 - 4.0]
    np.testing.assert_allclose(TASK.next_state(state, action, np.zeros((1, 3)))[0], expected)
    noise = TASK.next_state(state, action, np.ones((1, 3)))[0] - expected
    np.testing.assert_allclose(noise, TASK.noise_std)


def test_the_reward_is_of_the_state_before_the_step():
    envs = make_vector(ENV_ID, 2)
    before = reset(envs, [0, 1])
    action = np.ones((2, 2), np.float32)
    after, reward, *_ = envs.step(action)
    np.testing.assert_array_equal(reward, TASK.reward(before, action.astype(float)))
    assert not np.allclose(reward, TASK.reward(after, action.astype(float)))


def test_noise_and_initial_states_have_the_moments_that_the_task_states():
    """20,000 environments: means within 4.5 standard errors; a false alarm in 1e4, seed fixed."""
    count = 20_000
    envs = make_vector(ENV_ID, count)
    start = reset(envs, list(range(count)))
    idle = np.zeros((count, 2), np.float32)
    noise = envs.step(idle)[0] - start @ TASK.dynamics.T
    second = envs.step(idle)[0]
    assert (
        abs(np.corrcoef(noise[:, 0], (second - (start @ TASK.dynamics.T + noise) @ TASK.dynamics.T)[:, 0])[0, 1]) < 0.03
    )
    for found, mean, std in ((start, TASK.initial_mean, TASK.initial_std), (noise, np.zeros(3), TASK.noise_std)):
        assert np.all(np.abs(found.mean(axis=0) - mean) < 4.5 * std / np.sqrt(count))
        np.testing.assert_allclose(found.std(axis=0), std, rtol=0.03)
        assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 0.03


def test_an_episode_is_truncated_at_the_limit_and_then_waits_for_a_reset():
    envs = make_vector(ENV_ID, 2)
    idle = np.zeros((2, 2), np.float32)
    with pytest.raises(gym.error.ResetNeeded, match=r"\[0, 1\]"):
        envs.step(idle)
    reset(envs, [0, 1])
    for step in range(EPISODE_STEPS):
        if step == 50:
            reset(envs, [None, None], np.array([False, True]))
        _, _, terminated, truncated, _ = envs.step(idle)
        assert not terminated.any()
    assert truncated.tolist() == [True, False]
    with pytest.raises(gym.error.ResetNeeded, match=r"\[0\]"):
        envs.step(idle)


def test_a_state_may_be_set_without_moving_what_is_drawn():
    envs, drawn = make_vector(ENV_ID, 2), make_vector(ENV_ID, 2)
    state = np.arange(6.0).reshape(2, 3)
    found, _ = envs.reset(seed=[1, 2], options={"state": state})
    np.testing.assert_array_equal(found, state)
    start = reset(drawn, [1, 2])
    idle = np.zeros((2, 2), np.float32)
    gap = envs.step(idle)[0] - drawn.step(idle)[0]
    np.testing.assert_allclose(gap, (state - start) @ TASK.dynamics.T, atol=1e-12)
    single, _ = gym.make(ENV_ID).reset(seed=1, options={"state": state[0]})
    np.testing.assert_array_equal(single, state[0])
    with pytest.raises(ValueError, match=r"states of shape \(3,\), not \(2, 3\)"):
        envs.reset(options={"state": state[0]})


def test_what_was_returned_is_not_overwritten():
    envs = make_vector(ENV_ID, 2)
    first = reset(envs, [0, 1])
    kept = first.copy()
    obs = envs.step(np.ones((2, 2), np.float32))[0]
    kept_obs = obs.copy()
    reset(envs, [5, 6])
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(obs, kept_obs)


def test_a_new_process_finds_the_task_without_a_module_named():
    code = "from dpg.envs.make import make_vector; import gymnasium; make_vector('LinearQuadratic-v0', 2)"
    subprocess.run([sys.executable, "-c", f"{code}; gymnasium.make('LinearQuadratic-v0')"], check=True)
