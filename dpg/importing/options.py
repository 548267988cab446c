"""What a user says of an agent's files."""

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from dpg.agent.networks import Activation
from dpg.importing.errors import AgentImportError, first_fault


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
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

    @classmethod
    def of(cls, **given: Any) -> "Options":
        """Checked options; a path may be text.

        Raises:
            AgentImportError: there is no such option, or it has another value than those allowed.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            if unknown := set(given) - set(cls.__dataclass_fields__):
                allowed = ", ".join(cls.__dataclass_fields__)
                raise AgentImportError(f"{min(unknown)}: there is no such option; there are {allowed}") from None
            raise AgentImportError(first_fault(error)) from None

    def training(self) -> dict[str, Any]:
        """The fields of `Training` that were given."""
        names = {"gamma": "gamma", "gae_lambda": "gae_lambda", "n_steps": "timesteps", "n_envs": "num_envs"}
        names["time_limit"] = "time_limit"
        return {field: given for name, field in names.items() if (given := getattr(self, name)) is not None}
