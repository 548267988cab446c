"""How an agent is trained: a task, an algorithm with its configuration, and a seed."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dpg.runtime.schema import PPO, TRPO, AlgorithmName, Common, Params


class Recipe(BaseModel):
    """How an agent is trained: all that the probes need in order to redo an iteration from its snapshot.

    A batch has `num_envs` streams of `common.timesteps` pairs. Each is reset when the iteration starts, or with
    `continue` goes on from where the last one ended, as most libraries have it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    env_id: str
    algorithm: AlgorithmName
    common: Common
    config: PPO | TRPO
    iterations: int
    seed: int
    num_envs: Annotated[int, Field(ge=1, exclude_if=lambda num_envs: num_envs == 1)] = 1
    streams: Annotated[Literal["reset", "continue"], Field(exclude_if=lambda streams: streams == "reset")] = "reset"

    @property
    def batch_pairs(self) -> int:
        """Pairs that an iteration learns from."""
        return self.num_envs * self.common.timesteps

    @classmethod
    def of(cls, params: Params, env: str, algorithm: AlgorithmName, iterations: int, **changes: Any) -> "Recipe":
        """How a cell is trained; `changes` replace values of `common`."""
        return cls(
            env_id=env,
            algorithm=algorithm,
            common=params.common.model_copy(update=changes),
            config=params.algorithm(algorithm),
            iterations=iterations,
            seed=params.seed,
        )
