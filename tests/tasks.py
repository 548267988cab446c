"""Tasks made for tests. Importing this module registers them with Gymnasium; each says what is special about it.

They see three numbers and take one action. `Base` is well-behaved; the others differ from it in one thing.
"""

from typing import ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

EPISODE_STEPS = 20


class Base(gym.Env):
    """The reward is 1 a step, and an episode terminates by itself after `EPISODE_STEPS`."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float64)
    action_space = Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def step(self, action):
        self.steps += 1
        return self.observe(), 1.0, self.over(), False, {}

    def observe(self):
        return self.np_random.standard_normal(3)

    def over(self):
        return self.steps >= EPISODE_STEPS


class Endless(Base):
    def over(self):
        return False


class EndlessOnceTrained(Base):
    """Ends where the action is positive, as random ones soon are; an agent's may never be."""

    def step(self, action):
        obs, reward, _, truncated, info = super().step(action)
        return obs, reward, bool(action[0] > 0), truncated, info


class NanAt250(Base):
    """An observation turns NaN after 250 steps; the rewards go on."""

    def observe(self):
        return np.full(3, np.nan if self.steps > 250 else 0.0)

    def over(self):
        return self.steps >= 300


class NeedsHardware(Base):
    def __init__(self):
        raise OSError("no robot\nis connected")


class FourValues(Base):
    def step(self, action):
        return self.observe(), 1.0, False, {}


class OldReset(Base):
    def reset(self):
        self.steps = 0
        return np.zeros(3)


class NoInfoFromReset(Base):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0]


class OtherShape(Base):
    def observe(self):
        return np.zeros(4)


class OtherType(Base):
    observation_space = Box(0, 255, (3,), np.uint8)


class RewardArray(Base):
    def step(self, action):
        obs, reward, *rest = super().step(action)
        return obs, np.array([reward]), *rest


class IntegerEnd(Base):
    def over(self):
        return int(self.steps >= EPISODE_STEPS)


class NanFromTheStart(Base):
    def observe(self):
        return np.array([0.0, np.nan, 0.0])


class StepRaises(Base):
    def step(self, action):
        raise KeyError("joint_7")


class Picture(Base):
    """Draws itself by nobody's help, and does not say how many frames there are a second."""

    metadata: ClassVar = {"render_modes": ["rgb_array"]}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def render(self):
        return np.full((16, 16, 3), self.steps, np.uint8)


class PictureEvery50Ms(Picture):
    dt = 0.05


class DrawsByAnotherPackage(Picture):
    def render(self):
        import no_such_drawing_package  # noqa: F401


class DrawsNothing(Picture):
    def render(self):
        return None


class NoPictures(Base):
    metadata: ClassVar = {"render_modes": ["human"]}


LIMITED = {
    "tests/Base-v0": Base,
    "Base": Base,
    "Base.of-Tests-v1": Base,
    "3Base-v0": Base,
    "NanAt250-v0": NanAt250,
    "NeedsHardware-v0": NeedsHardware,
    "NeedsHardware-v3": Base,
    "FourValues-v0": FourValues,
    "OldReset-v0": OldReset,
    "NoInfoFromReset-v0": NoInfoFromReset,
    "OtherShape-v0": OtherShape,
    "OtherType-v0": OtherType,
    "RewardArray-v0": RewardArray,
    "IntegerEnd-v0": IntegerEnd,
    "NanFromTheStart-v0": NanFromTheStart,
    "StepRaises-v0": StepRaises,
    "Picture-v0": Picture,
    "PictureEvery50Ms-v0": PictureEvery50Ms,
    "DrawsByAnotherPackage-v0": DrawsByAnotherPackage,
    "DrawsNothing-v0": DrawsNothing,
    "NoPictures-v0": NoPictures,
}
UNLIMITED = {"Endless-v0": Endless, "EndlessOnceTrained-v0": EndlessOnceTrained, "EndsByItself-v0": Base}

for env_id, kind in LIMITED.items():
    gym.register(env_id, entry_point=kind, max_episode_steps=1000)
for env_id, kind in UNLIMITED.items():
    gym.register(env_id, entry_point=kind)
