"""The door to environments: what comes through it can be trained on, and resets when it is told to."""

import sys

import numpy as np
import pytest

from dpg.envs.make import EnvError, make_vector
from dpg.runtime.modules import ModuleError


def test_the_step_that_ends_an_episode_returns_its_true_last_observation():
    """With autoreset it would be, or be followed by, the first observation of the next episode."""
    envs = make_vector("InvertedPendulum-v5", 1)
    envs.reset(seed=0)
    for _ in range(1000):
        obs, _, terminated, _, _ = envs.step(np.ones((1, 1), np.float32))
        if terminated[0]:
            break
    assert terminated[0]
    assert abs(obs[0, 1]) > 0.2  # the pole's angle beyond which the task ends; resets start within 0.01
    envs.close()


def test_a_module_of_ones_own_may_register_a_task(tmp_path, monkeypatch):
    (tmp_path / "my_tasks.py").write_text(
        "import gymnasium as gym\n"
        "gym.register('MyPendulum-v0', entry_point='gymnasium.envs.mujoco.inverted_pendulum_v5:InvertedPendulumEnv')\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EnvError, match="MyPendulum-v0 cannot be made"):
        make_vector("MyPendulum-v0", 1)
    make_vector("MyPendulum-v0", 2, ["my_tasks"]).close()
    for env_id in ("MyPendulum-v0", "Hopper-v4"):
        with pytest.raises(ModuleError, match=r"modules = 'no_such_module' cannot be imported"):
            make_vector(env_id, 1, ["no_such_module"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise RuntimeError('no licence\\nfound')", "RuntimeError: no licence found \\(task_of_mine.py, line 1\\)$"),
        ("import sys; sys.exit('no')", r"SystemExit: no \(task_of_mine.py, line 1\)$"),
        (
            "import no_such_package",
            "ModuleNotFoundError: No module named 'no_such_package' \\(task_of_mine.py, line 1\\)$",
        ),
        (None, "No module named 'task_of_mine'; put task_of_mine.py into the project's root, or install it$"),
    ],
)
def test_whatever_a_module_raises_is_said_in_one_line(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    if text is not None:
        (tmp_path / "task_of_mine.py").write_text(text, encoding="utf-8")
    with pytest.raises(ModuleError, match=f"^modules = 'task_of_mine' cannot be imported: .*{said}"):
        make_vector("Hopper-v4", 1, ["task_of_mine"])
