"""The equations of the tasks on states written by hand, and their numbers against Gymnasium's own arguments."""

import importlib
import inspect
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from dpg.envs.tasks import TASKS, Physics


def planar_physics(qpos: list[list[float]], qvel: list[list[float]]) -> Physics:
    num_envs = len(qpos)
    return Physics(np.array(qpos, float), np.array(qvel, float), np.zeros((num_envs, 2)), {}, np.ones(1))


def humanoid_physics(num_envs: int = 2, seed: int = 0) -> Physics:
    """Random numbers in the shapes of Humanoid's 14 bodies and 23 degrees of freedom."""
    rng = np.random.default_rng(seed)
    sizes = {"xipos": 42, "cinert": 140, "cvel": 84, "qfrc_actuator": 23, "cfrc_ext": 84}
    qpos = rng.standard_normal((num_envs, 24))
    qpos[:, 2] = 1.4
    return Physics(
        qpos,
        rng.standard_normal((num_envs, 23)),
        rng.standard_normal((num_envs, 17)),
        {name: rng.standard_normal((num_envs, size)) for name, size in sizes.items()},
        rng.uniform(1, 2, 14),
    )


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


def test_planar_observations_leave_x_out_and_clip_velocities():
    physics = planar_physics([[7, 1, 2]], [[-11, 0.5, 12]])
    np.testing.assert_array_equal(TASKS["Walker2d-v4"].observation(physics), [[1, 2, -10, 0.5, 10]])


@pytest.mark.parametrize(("version", "fallen"), [("v4", 3.0 - 0.005), ("v5", 2.0 - 0.005)])
def test_planar_reward_by_hand(version, fallen):
    """2 m/s, actions (1, 2): 2 + 1 - 0.001 * 5. Only -v4 pays the healthy reward to one that has fallen."""
    physics = planar_physics([[0, 1.2, 0]] * 2, [[0, 0, 0]] * 2)
    action = np.array([[1.0, 2.0]] * 2)
    reward = TASKS[f"Walker2d-{version}"].reward(physics, action, np.array([2.0, 2.0]), np.array([True, False]))
    np.testing.assert_allclose(reward, [3.0 - 0.005, fallen], rtol=1e-15)


def test_the_planar_control_cost_is_in_the_actions_precision():
    """As Gymnasium's, which squares the action that it is given."""
    physics = planar_physics([[0, 1.2, 0]], [[0, 0, 0]])
    assert TASKS["Hopper-v4"].costs(physics, np.full((1, 3), 0.1, np.float32)).dtype == np.float32
    assert TASKS["Hopper-v4"].costs(physics, np.full((1, 3), 0.1)).dtype == np.float64


def test_the_humanoid_is_where_its_mass_centre_is():
    physics = humanoid_physics()
    bodies = physics.outputs["xipos"].reshape(2, 14, 3)
    expected = (physics.body_mass[:, None] * bodies[:, :, 0].T).sum(axis=0) / physics.body_mass.sum()
    np.testing.assert_allclose(TASKS["Humanoid-v4"].x_position(physics), expected, rtol=1e-12)


def test_humanoid_observations_of_v5_are_those_of_v4_without_world_and_free_joint():
    physics = humanoid_physics()
    older, newer = (TASKS[f"Humanoid-{version}"].observation(physics) for version in ("v4", "v5"))
    assert (older.shape, newer.shape) == ((2, 376), (2, 348))
    kept = np.ones(376, bool)
    start = 22 + 23
    for size, left_out in ((140, 10), (84, 6), (23, 6), (84, 6)):
        kept[start : start + left_out] = False
        start += size
    np.testing.assert_array_equal(newer, older[:, kept])


def test_humanoid_reward_by_hand():
    """-v4: 1.25 v + 5 - 0.1 |ctrl|^2, of the controls and not of the action; -v5 takes the contact cost off, too."""
    physics = humanoid_physics()
    velocity, unused = np.array([1.0, 2.0]), np.full((2, 17), np.nan)
    healthy = np.array([True, False])
    common = 1.25 * velocity - 0.1 * (physics.ctrl**2).sum(axis=1)
    np.testing.assert_allclose(TASKS["Humanoid-v4"].reward(physics, unused, velocity, healthy), common + 5, rtol=1e-12)
    contact = 5e-7 * (physics.outputs["cfrc_ext"] ** 2).sum(axis=1)
    np.testing.assert_allclose(
        TASKS["Humanoid-v5"].reward(physics, unused, velocity, healthy),
        common + np.array([5, 0]) - contact,
        rtol=1e-12,
    )


def test_the_contact_cost_is_at_most_10():
    physics = humanoid_physics(1)
    hit = replace(physics, outputs={**physics.outputs, "cfrc_ext": np.full((1, 84), 1e6)})
    task = TASKS["Humanoid-v5"]
    without = 0.1 * (physics.ctrl**2).sum()
    np.testing.assert_allclose(task.costs(hit, np.zeros((1, 17))), [without + 10], rtol=1e-12)


@pytest.mark.parametrize("env_id", TASKS)
def test_initial_states_are_uniform_about_the_models_rest(env_id):
    """All of 2,000 within the noise's bounds, filling them, and positions and velocities drawn apart."""
    task = TASKS[env_id]
    rng = np.random.default_rng(0)
    qpos0 = np.array([0.0, 1.25, 0.0])
    states = [task.initial_state(rng, qpos0, 2) for _ in range(2000)]
    noise = np.concatenate([np.array([qpos for qpos, _ in states]) - qpos0, np.array([qvel for _, qvel in states])], 1)
    assert np.abs(noise).max() <= task.reset_noise_scale
    assert (noise.max(axis=0) > 0.99 * task.reset_noise_scale).all()
    assert (noise.min(axis=0) < -0.99 * task.reset_noise_scale).all()
    assert np.abs(np.corrcoef(noise.T) - np.eye(5)).max() < 0.1
