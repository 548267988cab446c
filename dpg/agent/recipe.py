"""How an agent is trained: a task, an algorithm with its configuration, and a seed."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, field_validator

from dpg.runtime import registry
from dpg.runtime.schema import AlgorithmConfig, Common, Params
from dpg.runtime.seeding import Seed


class Recipe(BaseModel):
    """How an agent is trained: all that is needed to repeat an iteration from its snapshot.

    A batch has `num_envs` streams of `common.timesteps` pairs. Each is reset when the iteration starts, or with
    `continue` starts where the last one ended, as in most libraries. The configuration is the algorithm's
    own, or its fields as a mapping. `modules` are the user's own that the task and the algorithm come from.

    Raises:
        AlgorithmError: there is no such algorithm, or the configuration belongs to another one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    env_id: str
    algorithm: str
    modules: tuple[str, ...] = ()
    common: Common
    config: SerializeAsAny[AlgorithmConfig]
    iterations: int
    seed: int
    num_envs: Annotated[int, Field(ge=1, exclude_if=lambda num_envs: num_envs == 1)] = 1
    streams: Annotated[Literal["reset", "continue"], Field(exclude_if=lambda streams: streams == "reset")] = "reset"

    @field_validator("config", mode="wrap")
    @classmethod
    def _is_the_algorithms_own(cls, value: Any, _: Any, info: Any) -> AlgorithmConfig:
        if not {"algorithm", "modules"} <= info.data.keys():
            raise ValueError("cannot be checked: algorithm or modules is wrong")
        algorithm = registry.find(info.data["algorithm"], info.data["modules"])
        if isinstance(value, AlgorithmConfig):
            algorithm.check(value)
            return value
        return algorithm.config_type.model_validate(value)

    @property
    def batch_pairs(self) -> int:
        """Pairs that an iteration learns from."""
        return self.num_envs * self.common.timesteps

    @classmethod
    def of(cls, params: Params, env: str, algorithm: str, iterations: int, **changes: Any) -> "Recipe":
        """How a cell is trained; `changes` replace values of `common`."""
        return cls(
            env_id=env,
            algorithm=algorithm,
            modules=registry.needed_by(algorithm, params.modules),
            common=params.common.model_copy(update=changes),
            config=params.algorithm(algorithm),
            iterations=iterations,
            seed=params.seed,
        )

    def agent_seed(self, agent: int) -> Seed:
        """The root of everything random in an agent's training."""
        return Seed(self.seed) / "train" / self.env_id / self.algorithm / f"agent={agent}"

    def iteration_seed(self, agent: int, iteration: int) -> Seed:
        """The root of everything random in one iteration of an agent."""
        return self.agent_seed(agent) / f"iteration={iteration}"
