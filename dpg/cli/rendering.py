"""Environments that render off-screen, for videos. They are not in `dpg.envs`, since no result depends on them."""

import importlib
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from jaxtyping import UInt8

from dpg.envs.errors import EnvError
from dpg.envs.make import cause
from dpg.envs.stepping import name_of
from dpg.envs.tasks import TASKS
from dpg.runtime import modules as own

MODE = "rgb_array"
DEFAULT_RATE = 30  # steps a second, of tasks that state none
INSTALL = """MuJoCo renders off-screen through OpenGL, with the back end that MUJOCO_GL names:
  MUJOCO_GL=egl     no display needed; Debian and Ubuntu: apt-get install libegl1 libgl1 libgl1-mesa-dri
  MUJOCO_GL=osmesa  by the processor alone; apt-get install libosmesa6
  MUJOCO_GL=glfw    where there is a display"""


def prepare(env_id: str) -> None:
    """Choose how MuJoCo renders, before anything imports it: on Linux by EGL, unless MUJOCO_GL says otherwise.

    Tasks that do not need MuJoCo work without it.

    Raises:
        EnvError: the task needs MuJoCo, which cannot render; the message says what to install.
    """
    chosen = sys.platform == "linux" and "MUJOCO_GL" not in os.environ
    if chosen:
        os.environ["MUJOCO_GL"] = "egl"
    try:
        context = importlib.import_module("mujoco").GLContext(8, 8)
        context.make_current()
        context.free()
    except Exception as error:  # of a different kind for each way to lack OpenGL
        if env_id in TASKS or "mujoco" in str(getattr(gym.registry.get(env_id), "entry_point", "")):
            raise _no_opengl(env_id, error) from error
        if chosen:
            del os.environ["MUJOCO_GL"]


def make_rendered(env_id: str, seconds: float, modules: Sequence[str] = ()) -> tuple[SyncVectorEnv, float]:
    """A vector of one environment that can render, and its steps a second; call `prepare` first.

    Episodes end after `seconds` of the task's own time; until then, the same seed and actions give the same episode as
    in the vector environments of measurements.

    Raises:
        EnvError: the task cannot be made, or does not render.
    """
    own.load(modules)
    try:
        spec = gym.spec(env_id)
        plain = gym.make(spec, disable_env_checker=True)
        modes: list[str] = plain.metadata.get("render_modes") or []
        rate = steps_a_second(plain)
        plain.close()
        if MODE in modes:
            most = math.ceil(seconds * rate)
            cut = replace(spec, max_episode_steps=min(most, spec.max_episode_steps or most))
            drawn = lambda: gym.make(cut, disable_env_checker=True, render_mode=MODE)  # noqa: E731
            envs = SyncVectorEnv([drawn], copy=False, autoreset_mode=AutoresetMode.DISABLED)
            envs.spec = cut
            return envs, rate
    except Exception as error:  # a constructor may raise anything
        raise EnvError(f"{env_id} cannot be made to be watched: {cause(error)}{_package(error)}") from error
    has = ", ".join(map(repr, modes)) or "none"
    raise EnvError(f"{env_id} cannot be watched: it draws no pictures ({MODE!r} is not in its render_modes: {has})")


def steps_a_second(env: gym.Env[Any, Any]) -> float:
    """Steps in a second of the task's own time: as it states, or from the length of a step."""
    rate = env.metadata.get("render_fps")
    if rate is None and isinstance(seconds := getattr(env.unwrapped, "dt", None), int | float) and seconds > 0:
        rate = 1 / seconds
    return float(rate or DEFAULT_RATE)


def picture(env: gym.Env[Any, Any]) -> UInt8[np.ndarray, "H W 3"]:
    """The rendered environment.

    Raises:
        EnvError: it cannot be rendered; the message says what to install.
    """
    try:
        frame: Any = env.render()
    except Exception as error:
        missing = isinstance(error, ImportError | gym.error.DependencyNotInstalled)
        if not missing and _is_drawn_by_mujoco(env):
            raise _no_opengl(name_of(env), error) from error
        raise EnvError(f"{name_of(env)}: no picture can be drawn: {cause(error)}{_package(error)}") from error
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.shape[2:] != (3,):
        found = f"{frame.dtype} of shape {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise EnvError(f"{name_of(env)}: render must return an image, uint8 of shape (height, width, 3), not {found}")
    return frame


def _package(error: BaseException) -> str:
    """What to install if a package is missing, unless the message says it."""
    lacking = error if isinstance(error, ModuleNotFoundError) else error.__cause__
    if not isinstance(lacking, ModuleNotFoundError) or "pip install" in str(error):
        return ""
    return f": `python -m pip install {(lacking.name or '').partition('.')[0]}`, or the package that has it"


def _is_drawn_by_mujoco(env: gym.Env[Any, Any]) -> bool:
    mujoco = sys.modules.get("mujoco")
    return mujoco is not None and any(isinstance(value, mujoco.MjModel) for value in vars(env.unwrapped).values())


def _no_opengl(env_id: str, error: Exception) -> EnvError:
    way = os.environ.get("MUJOCO_GL", "not set")
    return EnvError(f"{env_id}: no picture can be drawn (MUJOCO_GL is {way}; {cause(error)})\n{INSTALL}")
