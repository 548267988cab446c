"""Environments that draw themselves, off-screen: what videos are made of.

Here, and not beside the other environments: no result depends on it.
"""

import importlib
import os
import sys
from collections.abc import Sequence

import gymnasium as gym
import numpy as np
from jaxtyping import UInt8

from dpg.envs.errors import EnvError
from dpg.envs.make import import_modules

INSTALL = """MuJoCo draws off-screen through OpenGL, by the way that MUJOCO_GL names:
  MUJOCO_GL=egl     no display needed; Debian and Ubuntu: apt-get install libegl1 libgl1 libgl1-mesa-dri
  MUJOCO_GL=osmesa  by the processor alone; apt-get install libosmesa6
  MUJOCO_GL=glfw    where there is a display"""


def prepare() -> None:
    """Choose how MuJoCo is to draw, before anything imports it: on Linux by EGL, unless MUJOCO_GL says otherwise.

    Raises:
        EnvError: it cannot draw so; the message says what to install.
    """
    if sys.platform == "linux":
        os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        context = importlib.import_module("mujoco").GLContext(8, 8)
        context.make_current()
        context.free()
    except Exception as error:  # of as many kinds as there are ways to lack OpenGL
        raise _no_picture(error) from error


def make_rendered(env_id: str, modules: Sequence[str] = ()) -> gym.Env[np.ndarray, np.ndarray]:
    """One environment of a task that can draw itself; `prepare` goes before it.

    The same seed and actions give the same episode as in the vector environments that measurements are made in.

    Raises:
        EnvError: the task is not installed, or has no pictures.
    """
    import_modules(modules)
    try:
        spec = gym.spec(env_id)
        if "rgb_array" not in gym.make(spec, disable_env_checker=True).metadata["render_modes"]:
            raise EnvError(f"{env_id} cannot be watched: it draws no pictures")
        return gym.make(spec, disable_env_checker=True, render_mode="rgb_array")
    except gym.error.Error as error:
        raise EnvError(f"{env_id} cannot be made: {error}") from error


def picture(env: gym.Env[np.ndarray, np.ndarray]) -> UInt8[np.ndarray, "H W 3"]:
    """What the environment looks like now.

    Raises:
        EnvError: this machine cannot draw it; the message says what to install.
    """
    try:
        frame = env.render()
    except Exception as error:
        raise _no_picture(error) from error
    assert isinstance(frame, np.ndarray)
    return frame


def _no_picture(error: Exception) -> EnvError:
    way = os.environ.get("MUJOCO_GL", "not set")
    return EnvError(f"no picture can be drawn (MUJOCO_GL is {way}; {type(error).__name__}: {error})\n{INSTALL}")
