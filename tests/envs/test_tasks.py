"""What random play does not reach (all else is compared with Gymnasium step by step): bounds, and every argument."""

import importlib
import inspect

import gymnasium as gym
import numpy as np
import pytest

from dpg.envs.tasks import TASKS, Physics


def planar_physics(qpos: list[list[float]], qvel: list[list[float]]) -> Physics:
    num_envs = len(qpos)
    return Physics(np.array(qpos, float), np.array(qvel, float), np.zeros((num_envs, 2)), {}, np.ones(1))


@pytest.mark.parametrize("env_id", TASKS)
def test_numbers_are_the_defaults_of_gymnasiums_classes(env_id):
    module, name = gym.spec(env_id).entry_point.split(":")
    cls = getattr(importlib.import_module(module), name)
    defaults = {
        key: parameter.default
        for key, parameter in inspect.signature(cls.__init__).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    assert gym.spec(env_id).kwargs == {}
    assert defaults["terminate_when_unhealthy"] is True
    assert defaults["exclude_current_positions_from_observation"] is True
    compared = {key for key in defaults if hasattr(TASKS[env_id], key)}
    assert {"forward_reward_weight", "ctrl_cost_weight", "healthy_reward", "healthy_z_range", "reset_noise_scale"} <= (
        compared
    )
    for key in compared:
        assert getattr(TASKS[env_id], key) == defaults[key], key
    # What -v4's classes have in their bodies instead is in the models that the other tests compare step by step.
    assert ("frame_skip" in compared) == env_id.endswith("v5")


@pytest.mark.parametrize(
    ("qpos", "qvel", "healthy"),
    [
        ([0, 1.25, 0, 0], [0, 0, 0, 0], True),
        ([0, 0.7, 0, 0], [0, 0, 0, 0], False),  # bounds themselves are outside
        ([0, np.nextafter(0.7, 1), 0, 0], [0, 0, 0, 0], True),
        ([0, 1.25, 0.2, 0], [0, 0, 0, 0], False),
        ([0, 1.25, -0.2, 0], [0, 0, 0, 0], False),
        ([0, 1.25, 0, 100], [0, 0, 0, 0], False),
        ([0, 1.25, 0, 0], [100, 0, 0, 0], False),  # the velocity of x is bounded, x itself is not
        ([1e6, 1.25, 0, 0], [0, 0, 0, 0], True),
        ([0, np.nan, 0, 0], [0, 0, 0, 0], False),
        ([0, 1.25, 0, 0], [0, 0, 0, np.nan], False),
    ],
)
def test_a_hopper_is_healthy_within_its_ranges(qpos, qvel, healthy):
    physics = planar_physics([qpos, [0, 1.25, 0, 0]], [qvel, [0, 0, 0, 0]])
    np.testing.assert_array_equal(TASKS["Hopper-v4"].healthy(physics), [healthy, True])


def test_a_walker_is_healthy_at_any_speed_but_not_too_high():
    physics = planar_physics([[0, 1.2, 0], [0, 2.0, 0], [0, 0.8, 0], [0, 1.2, 1.0]], [[1e3, 0, 0]] + [[0, 0, 0]] * 3)
    np.testing.assert_array_equal(TASKS["Walker2d-v5"].healthy(physics), [True, False, False, False])


def test_the_contact_cost_is_at_most_10():
    ctrl = np.random.default_rng(0).standard_normal((1, 17))
    hit = Physics(np.zeros((1, 24)), np.zeros((1, 23)), ctrl, {"cfrc_ext": np.full((1, 84), 1e6)}, np.ones(14))
    found = TASKS["Humanoid-v5"].costs(hit, np.zeros((1, 17)))
    np.testing.assert_allclose(found, [0.1 * (ctrl**2).sum() + 10], rtol=1e-12)
