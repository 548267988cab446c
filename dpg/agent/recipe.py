"""How an agent is trained: a task, an algorithm with its configuration, and a seed."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from dpg.runtime.schema import PPO, TRPO, AlgorithmName, Common, Params


class Recipe(BaseModel):
    """How an agent is trained: all that the probes need in order to redo an iteration from its snapshot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env_id: str
    algorithm: AlgorithmName
    common: Common
    config: PPO | TRPO
    iterations: int
    seed: int

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
