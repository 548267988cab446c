"""Hopper, Walker2d and Humanoid as data and array functions over E environments.

They equal Gymnasium's classes (`gymnasium/envs/mujoco/*_v4.py`, `*_v5.py`) with default arguments bit for bit: the same
operations in the same order on the same types. -v4 pays the healthy reward at every step, -v5 only while healthy; other
differences are in `TASKS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Physics:
    """The simulations' arrays, live. `outputs` are flattened fields of `mjData` by name, from the last step."""

    qpos: Float[np.ndarray, "E Q"]
    qvel: Float[np.ndarray, "E V"]
    ctrl: Float[np.ndarray, "E A"]
    outputs: Mapping[str, Float[np.ndarray, "E _"]]
    body_mass: Float[np.ndarray, " B"]


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """A walking task; attributes are named after the arguments of Gymnasium's classes.

    `xml_file` is one of Gymnasium's assets. An unhealthy state ends the episode. With `pays_unhealthy_step` the step
    that ends an episode earns the healthy reward, too. `outputs` are the fields of `mjData` that are read.
    """

    outputs: ClassVar[tuple[str, ...]] = ()

    xml_file: str
    frame_skip: int
    forward_reward_weight: float
    ctrl_cost_weight: float
    healthy_reward: float
    healthy_z_range: tuple[float, float]
    reset_noise_scale: float
    pays_unhealthy_step: bool

    @abstractmethod
    def x_position(self, physics: Physics) -> Float[np.ndarray, " E"]:
        """The position along the track, in metres, whose change is rewarded. A new array."""

    @abstractmethod
    def observation(self, physics: Physics) -> Float[np.ndarray, "E O"]:
        """The observation, which excludes the position along the track. A new array."""

    @abstractmethod
    def healthy(self, physics: Physics) -> Bool[np.ndarray, " E"]:
        """Whether the robot has not fallen."""

    @abstractmethod
    def costs(self, physics: Physics, action: Float[np.ndarray, "E A"]) -> Float[np.ndarray, " E"]:
        """Costs that are subtracted from the reward."""

    def reward(
        self,
        physics: Physics,
        action: Float[np.ndarray, "E A"],
        x_velocity: Float[np.ndarray, " E"],
        healthy: Bool[np.ndarray, " E"],
    ) -> Float[np.ndarray, " E"]:
        """Weight * x velocity + healthy reward - costs, where the velocity is in m/s over the whole step."""
        survival = self.healthy_reward if self.pays_unhealthy_step else healthy * self.healthy_reward
        return self.forward_reward_weight * x_velocity + survival - self.costs(physics, action)

    def initial_state(
        self, rng: np.random.Generator, qpos0: Float[np.ndarray, " Q"], num_velocities: int
    ) -> tuple[Float[np.ndarray, " Q"], Float[np.ndarray, " V"]]:
        """Positions and velocities at the start of an episode: the model's at rest, plus uniform noise."""
        scale = self.reset_noise_scale
        qpos = qpos0 + rng.uniform(-scale, scale, len(qpos0))
        return qpos, rng.uniform(-scale, scale, num_velocities)


@dataclass(frozen=True, kw_only=True)
class PlanarTask(Task):
    """Hopper and Walker2d. Their first positions are x, z and the angle of the torso, in metres and radians.

    `healthy_state_range` bounds all positions and velocities except x and z; None for no bounds.
    """

    healthy_angle_range: tuple[float, float]
    healthy_state_range: tuple[float, float] | None = None

    def x_position(self, physics: Physics) -> Float[np.ndarray, " E"]:
        """The torso's x."""
        return physics.qpos[:, 0].copy()

    def observation(self, physics: Physics) -> Float[np.ndarray, "E O"]:
        """Positions except x, and velocities clipped to +-10."""
        num_positions = physics.qpos.shape[1] - 1
        obs = np.empty((len(physics.qpos), num_positions + physics.qvel.shape[1]))
        obs[:, :num_positions] = physics.qpos[:, 1:]
        np.clip(physics.qvel, -10, 10, out=obs[:, num_positions:])
        return obs

    def healthy(self, physics: Physics) -> Bool[np.ndarray, " E"]:
        """Height, angle and, if bounded, the state within their ranges."""
        healthy = _within(physics.qpos[:, 1], self.healthy_z_range)
        healthy &= _within(physics.qpos[:, 2], self.healthy_angle_range)
        if self.healthy_state_range is not None:
            state = np.concatenate((physics.qpos[:, 2:], physics.qvel), axis=1)
            healthy &= _within(state, self.healthy_state_range).all(axis=1)
        return healthy

    def costs(self, physics: Physics, action: Float[np.ndarray, "E A"]) -> Float[np.ndarray, " E"]:
        """The control cost: weight * |action|^2, in the precision of the action."""
        del physics
        return self.ctrl_cost_weight * np.sum(np.square(action), axis=1)


@dataclass(frozen=True, kw_only=True)
class HumanoidTask(Task):
    """Humanoid. Observations hold derived quantities; in -v5 without those that are always zero or meaningless.

    `first_body` and `first_dof` are the first ones observed: 0 in -v4; in -v5, 1 excludes the world and 6 the free
    joint's actuator forces. -v4 has no contact cost (`contact_cost_weight` None).
    """

    outputs: ClassVar[tuple[str, ...]] = ("xipos", "cinert", "cvel", "qfrc_actuator", "cfrc_ext")

    first_body: int = 0
    first_dof: int = 0
    contact_cost_weight: float | None = None
    contact_cost_range: tuple[float, float] = (-np.inf, 10.0)

    def x_position(self, physics: Physics) -> Float[np.ndarray, " E"]:
        """The mass centre's x, from the bodies' positions before the last substep."""
        bodies = physics.outputs["xipos"].reshape(len(physics.qpos), -1, 3)
        # All three axes, although only x is used: einsum then sums in the same order as for one environment.
        return np.einsum("b,ebj->ej", physics.body_mass, bodies)[:, 0] / physics.body_mass.sum()

    def observation(self, physics: Physics) -> Float[np.ndarray, "E O"]:
        """Positions except x and y, velocities, body inertias and velocities, actuator and contact forces."""
        outputs = physics.outputs
        parts = (
            physics.qpos[:, 2:],
            physics.qvel,
            outputs["cinert"][:, 10 * self.first_body :],
            outputs["cvel"][:, 6 * self.first_body :],
            outputs["qfrc_actuator"][:, self.first_dof :],
            outputs["cfrc_ext"][:, 6 * self.first_body :],
        )
        return np.concatenate(parts, axis=1)

    def healthy(self, physics: Physics) -> Bool[np.ndarray, " E"]:
        """The torso's height within its range."""
        return _within(physics.qpos[:, 2], self.healthy_z_range)

    def costs(self, physics: Physics, action: Float[np.ndarray, "E A"]) -> Float[np.ndarray, " E"]:
        """Control cost, weight * |action|^2 in float64, and contact cost, weight * |contact forces|^2 clipped."""
        del action  # the controls are the action, in the engine's precision
        ctrl_cost = self.ctrl_cost_weight * np.sum(np.square(physics.ctrl), axis=1)
        if self.contact_cost_weight is None:
            return ctrl_cost
        contact_cost = self.contact_cost_weight * np.sum(np.square(physics.outputs["cfrc_ext"]), axis=1)
        return ctrl_cost + np.clip(contact_cost, *self.contact_cost_range)


def _within(values: Float[np.ndarray, "..."], bounds: tuple[float, float]) -> Bool[np.ndarray, "..."]:
    low, high = bounds
    return (low < values) & (values < high)


_HOPPER = PlanarTask(
    xml_file="hopper.xml",
    frame_skip=4,
    forward_reward_weight=1.0,
    ctrl_cost_weight=1e-3,
    healthy_reward=1.0,
    healthy_z_range=(0.7, np.inf),
    healthy_angle_range=(-0.2, 0.2),
    healthy_state_range=(-100.0, 100.0),
    reset_noise_scale=5e-3,
    pays_unhealthy_step=True,
)
_WALKER2D = replace(
    _HOPPER,
    xml_file="walker2d.xml",
    healthy_z_range=(0.8, 2.0),
    healthy_angle_range=(-1.0, 1.0),
    healthy_state_range=None,
)
_HUMANOID = HumanoidTask(
    xml_file="humanoid.xml",
    frame_skip=5,
    forward_reward_weight=1.25,
    ctrl_cost_weight=0.1,
    healthy_reward=5.0,
    healthy_z_range=(1.0, 2.0),
    reset_noise_scale=1e-2,
    pays_unhealthy_step=True,
)
# Walker2d-v5's model differs in the friction of the left foot; all other changes in -v5 are in the arguments.
TASKS: Mapping[str, Task] = {
    "Hopper-v4": _HOPPER,
    "Hopper-v5": replace(_HOPPER, pays_unhealthy_step=False),
    "Walker2d-v4": _WALKER2D,
    "Walker2d-v5": replace(_WALKER2D, xml_file="walker2d_v5.xml", pays_unhealthy_step=False),
    "Humanoid-v4": _HUMANOID,
    "Humanoid-v5": replace(_HUMANOID, first_body=1, first_dof=6, contact_cost_weight=5e-7, pays_unhealthy_step=False),
}
