"""What a user says of an agent's files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dpg.agent.networks import Activation


@dataclass(frozen=True)
class Options:
    """What stands in for the files, or overrides what they say; None leaves it to them."""

    env_id: str | None = None
    modules: tuple[str, ...] = ()
    normalizer: Path | None = None
    no_normalizer: bool = False
    activation: Activation | None = None
    gamma: float | None = None
    gae_lambda: float | None = None
    n_steps: int | None = None
    n_envs: int | None = None
    time_limit: Literal["bootstrap", "terminal"] | None = None

    def training(self) -> dict[str, Any]:
        """The fields of `Training` that were given."""
        given = {
            "gamma": self.gamma,
            "gae_lambda": self.gae_lambda,
            "timesteps": self.n_steps,
            "num_envs": self.n_envs,
            "time_limit": self.time_limit,
        }
        return {name: value for name, value in given.items() if value is not None}
