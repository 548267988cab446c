"""The batched environments are Gymnasium's own: to the last bit, whatever neighbours do."""

from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from mujoco.batch import Batch

from dpg.envs import mujoco_batch
from dpg.envs.make import EnvError, make_vector
from dpg.envs.mujoco_batch import MujocoBatchVectorEnv
from dpg.envs.tasks import TASKS

pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")

SEEDS = [11, 12, 13]
FIELDS = ("obs", "reward", "terminated", "truncated")


def reference(env_id: str, num_envs: int = len(SEEDS), **arguments: tuple[float, float]) -> SyncVectorEnv:
    """Gymnasium's environments, registered wrappers and all."""
    return SyncVectorEnv([lambda: gym.make(env_id, **arguments)] * num_envs, autoreset_mode=AutoresetMode.DISABLED)


def random_actions(envs: gym.vector.VectorEnv, num_steps: int, seed: int = 0) -> np.ndarray:
    """A third of them small, a third filling the action space, and a third twice beyond its bounds."""
    rng = np.random.default_rng(seed)
    actions = rng.uniform(envs.action_space.low, envs.action_space.high, (num_steps, *envs.action_space.shape))
    scale = np.repeat(rng.permutation(np.resize([0.2, 1.0, 2.0], num_steps // 10)), 10)
    return (actions * scale[:, None, None]).astype(np.float32)


def play(envs: gym.vector.VectorEnv, actions: np.ndarray, seeds: list[int]) -> dict[str, np.ndarray]:
    """Everything that the environments return, those that end being reset; what resets return is in `reset_obs`."""
    rows: dict[str, list[np.ndarray]] = {name: [] for name in (*FIELDS, "reset_obs")}
    rows["reset_obs"].append(envs.reset(seed=list(seeds))[0].copy())
    for action in actions:
        *returned, _ = envs.step(action)
        for name, value in zip(FIELDS, returned, strict=True):
            rows[name].append(value.copy())
        done = returned[2] | returned[3]
        if done.any():
            rows["reset_obs"].append(envs.reset(options={"reset_mask": done})[0].copy())
    return {name: np.array(values) for name, values in rows.items()}


def differing(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> list[str]:
    return [name for name in expected if not np.array_equal(found[name], expected[name])]


@pytest.mark.parametrize("env_id", TASKS)
def test_steps_and_resets_are_gymnasiums_to_the_last_bit(env_id):
    """3,000 pairs, in hundreds of episodes."""
    ours, theirs = MujocoBatchVectorEnv(env_id, 3), reference(env_id)
    actions = random_actions(theirs, 1000)
    found, expected = play(ours, actions, SEEDS), play(theirs, actions, SEEDS)
    assert expected["terminated"].sum() > 90
    assert np.abs(expected["reward"]).max() > 1
    assert differing(found, expected) == []
    assert found["obs"].dtype == found["reward"].dtype == np.float64
    theirs.close()


@pytest.mark.parametrize("env_id", TASKS)
def test_spaces_are_gymnasiums(env_id):
    ours, theirs = make_vector(env_id, 3), reference(env_id)
    assert isinstance(ours, MujocoBatchVectorEnv)
    for name in ("single_observation_space", "single_action_space", "observation_space", "action_space"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    assert ours.num_envs == 3
    theirs.close()


@pytest.mark.parametrize("env_id", TASKS)
def test_whole_episodes_end_with_gymnasiums_at_the_time_limit(env_id, monkeypatch):
    """Where nothing is unhealthy: a thousand steps, most of them on the floor."""
    bounds = ("healthy_z_range", "healthy_angle_range", "healthy_state_range")
    everything = {name: (-np.inf, np.inf) for name in bounds if getattr(TASKS[env_id], name, None)}
    monkeypatch.setitem(TASKS, env_id, replace(TASKS[env_id], **everything))
    ours, theirs = MujocoBatchVectorEnv(env_id, 1), reference(env_id, 1, **everything)
    actions = random_actions(theirs, 1010)
    found, expected = play(ours, actions, [3]), play(theirs, actions, [3])
    assert np.argwhere(expected["truncated"]).tolist() == [[999, 0]]
    assert not expected["terminated"].any()
    assert differing(found, expected) == []
    theirs.close()


def test_a_whole_episode_is_truncated_where_gymnasium_truncates_it(monkeypatch):
    """With the limit of both at 12 steps, which the robots survive; and ends of both kinds come together."""
    monkeypatch.setattr(gym.spec("Walker2d-v4"), "max_episode_steps", 12)
    ours, theirs = MujocoBatchVectorEnv("Walker2d-v4", 3), reference("Walker2d-v4")
    actions = random_actions(theirs, 150)
    found, expected = play(ours, actions, SEEDS), play(theirs, actions, SEEDS)
    assert expected["truncated"].sum() > 10
    assert expected["terminated"].any()
    assert differing(found, expected) == []
    theirs.close()


@pytest.mark.parametrize("env_id", ["Walker2d-v5", "Humanoid-v4"])
def test_resetting_one_leaves_the_others_present_and_future_alone(env_id):
    envs, undisturbed = MujocoBatchVectorEnv(env_id, 3), MujocoBatchVectorEnv(env_id, 3)
    actions = 0.2 * random_actions(envs, 10)
    before = play(envs, actions[:5], SEEDS)["obs"][-1]
    play(undisturbed, actions[:5], SEEDS)
    after, _ = envs.reset(options={"reset_mask": np.array([False, True, False])})
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    assert not np.array_equal(after[1], before[1])
    for action in actions[5:]:
        for found, expected in zip(envs.step(action)[:4], undisturbed.step(action)[:4], strict=True):
            np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("options", [{}, {"reset_mask": np.array([True, False, True])}], ids=["all", "masked"])
@pytest.mark.parametrize("seed", [7, [7, None, 9], None])
def test_seeds_are_taken_as_gymnasium_takes_them(seed, options):
    """After a first seeded reset: a number stands for one after the other, None goes on with the generator.

    A seed outside the mask is not used.
    """
    ours, theirs = MujocoBatchVectorEnv("Hopper-v4", 3), reference("Hopper-v4")
    for envs in (ours, theirs):
        envs.reset(seed=[1, 2, 3])
    found, expected = (envs.reset(seed=seed, options=dict(options))[0] for envs in (ours, theirs))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(ours.reset()[0], theirs.reset()[0])
    theirs.close()


def test_environments_without_seeds_differ():
    obs, _ = MujocoBatchVectorEnv("Hopper-v5", 2).reset()
    assert not np.any(obs[0] == obs[1])


def test_what_was_returned_is_not_overwritten():
    envs = MujocoBatchVectorEnv("Humanoid-v4", 2)
    first, _ = envs.reset(seed=0)
    kept = first.copy()
    stepped = envs.step(np.full((2, 17), 0.1, np.float32))
    kept_step = [value.copy() for value in stepped[:4]]
    envs.step(np.full((2, 17), 0.1, np.float32))
    envs.reset()
    np.testing.assert_array_equal(first, kept)
    for value, copy in zip(stepped[:4], kept_step, strict=True):
        np.testing.assert_array_equal(value, copy)


@pytest.mark.parametrize(("env_id", "wrong"), [("Humanoid-v4", {"obs"}), ("Humanoid-v5", {"obs", "reward"})])
def test_steps_without_contact_forces_would_be_seen(monkeypatch, env_id: str, wrong: set[str]):
    """As EnvPool's Humanoid-v4 has them."""
    monkeypatch.setattr(MujocoBatchVectorEnv, "_compute_contact_forces", lambda envs, data: None)
    ours, theirs = MujocoBatchVectorEnv(env_id, 3), reference(env_id)
    actions = random_actions(theirs, 60)
    assert set(differing(play(ours, actions, SEEDS), play(theirs, actions, SEEDS))) - {"reset_obs"} == wrong
    theirs.close()


def test_a_warm_start_left_from_the_last_episode_would_be_seen(monkeypatch):
    """A reset must clear more than positions and velocities."""
    monkeypatch.setattr(Batch, "reset", lambda batch, ids, stage: None)
    ours, theirs = MujocoBatchVectorEnv("Humanoid-v4", 3), reference("Humanoid-v4")
    actions = random_actions(theirs, 60)
    found, expected = play(ours, actions, SEEDS), play(theirs, actions, SEEDS)
    assert len(expected["reset_obs"]) > 1
    assert "obs" in differing(found, expected)
    theirs.close()


def test_an_unstable_simulation_is_told_of_once_and_goes_on_as_gymnasiums_does(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where Gymnasium's MuJoCo leaves a log
    ours, theirs = MujocoBatchVectorEnv("Walker2d-v4", 2), gym.make("Walker2d-v4")
    ours.reset(seed=[4, 5])
    theirs.reset(seed=5)
    ours._physics.qvel[1, 3] = theirs.unwrapped.data.qvel[3] = 1e12
    idle = np.zeros((2, 6), np.float32)
    with pytest.warns(RuntimeWarning, match="BADQVEL in environment 1"):
        found = ours.step(idle)
    np.testing.assert_array_equal(found[0][1], theirs.step(idle[1])[0])
    np.testing.assert_array_equal(ours.step(idle)[0][1], theirs.step(idle[1])[0])
    theirs.close()


def test_an_action_that_is_not_a_number_is_refused():
    envs = MujocoBatchVectorEnv("Hopper-v4", 2)
    envs.reset(seed=0)
    action = np.zeros((2, 3), np.float32)
    action[1, 2] = np.nan
    with pytest.raises(EnvError, match="Hopper-v4: an action in environment 1 is not finite"):
        envs.step(action)


def test_an_error_in_the_engine_is_told(monkeypatch):
    model = mujoco.MjModel.from_xml_path(f"{Path(gym.__file__).parent}/envs/mujoco/assets/hopper.xml")
    model.opt.integrator = 77
    monkeypatch.setattr(mujoco_batch, "_model", lambda xml_file: model)
    envs = MujocoBatchVectorEnv("Hopper-v4", 2)
    envs.reset(seed=0)
    with pytest.raises(EnvError, match=r"Hopper-v4: MuJoCo raised in 2 of 2 simulations .*integrator"):
        envs.step(np.zeros((2, 3), np.float32))
    with pytest.raises(EnvError, match="Hopper-v4: MuJoCo cannot make 0 simulations: nsim must be positive"):
        MujocoBatchVectorEnv("Hopper-v4", 0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda envs: envs.reset(seed=[1]), "need as many seeds"),
        (lambda envs: envs.reset(options={"reset_mask": np.array([True])}), "reset_mask must be 2 booleans"),
        (lambda envs: envs.reset(options={"reset_mask": np.array([1, 0])}), "reset_mask must be 2 booleans"),
        (lambda envs: envs.reset(options={"reset_mask": np.array([False, False])}), "at least one of them true"),
        (lambda envs: envs.step(np.zeros((2, 4), np.float32)), r"actions of shape \(2, 4\), not \(2, 3\)"),
        (lambda envs: envs.step(np.zeros((1, 3), np.float32)), r"actions of shape \(1, 3\), not \(2, 3\)"),
    ],
)
def test_what_does_not_fit_the_environments_is_refused(call, said):
    envs = MujocoBatchVectorEnv("Hopper-v4", 2)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=said):
        call(envs)


@pytest.mark.parametrize("env_id", ["Hopper-v4", "Humanoid-v5"])
def test_parked_environments_stand_still_and_change_nothing_for_the_others(env_id: str):
    parked, all_awake = MujocoBatchVectorEnv(env_id, 3), MujocoBatchVectorEnv(env_id, 3)
    seeds: list[int | None] = [1, 2, 3]
    before, _ = parked.reset(seed=seeds)
    all_awake.reset(seed=seeds)
    parked.park(np.array([False, True, False]))
    rng = np.random.default_rng(0)
    for _ in range(5):
        actions = rng.uniform(-0.4, 0.4, parked.action_space.shape).astype(np.float32)
        found, expected = parked.step(actions), all_awake.step(actions)
        for ours, theirs in zip(found[:4], expected[:4], strict=True):
            np.testing.assert_array_equal(ours[[0, 2]], theirs[[0, 2]])
        np.testing.assert_array_equal(found[0][1], before[1])
        assert not (found[2][1] or found[3][1])
    # A reset wakes it, and it is the environment that it would have been.
    mask = np.array([False, True, False])
    again, _ = parked.reset(seed=seeds, options={"reset_mask": mask})
    np.testing.assert_array_equal(again[1], before[1])
    moved = parked.step(np.full(parked.action_space.shape, 0.3, np.float32))[0]
    assert not np.array_equal(moved[1], before[1])
