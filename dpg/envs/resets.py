"""Arguments of `reset` and `step` that batched environments check: seeds, masks, pending resets."""

from typing import Any

import gymnasium as gym
import numpy as np
from jaxtyping import Bool, Int


def each_seed(seed: int | list[int | None] | None, num_envs: int) -> list[int | None]:
    """One seed for each environment, as in `SyncVectorEnv`: a number n stands for n, n + 1, ...

    Raises:
        ValueError: a list has another length.
    """
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, int):
        return [seed + index for index in range(num_envs)]
    if len(seed) != num_envs:
        raise ValueError(f"{num_envs} environments need as many seeds, not {len(seed)}")
    return seed


def reset_mask(options: dict[str, Any] | None, num_envs: int) -> Bool[np.ndarray, " E"]:
    """`options["reset_mask"]`; all environments if there is none.

    Raises:
        ValueError: it is not a boolean for each environment, or none is true.
    """
    if options is None or "reset_mask" not in options:
        return np.ones(num_envs, bool)
    mask = options["reset_mask"]
    if not (isinstance(mask, np.ndarray) and mask.shape == (num_envs,) and mask.dtype == bool and mask.any()):
        raise ValueError(f"reset_mask must be {num_envs} booleans, at least one of them true; found {mask!r}")
    return mask


def elapsed_pairs(options: dict[str, Any] | None, num_envs: int) -> Int[np.ndarray, " E"]:
    """`options["elapsed"]`, the pairs since the episodes began; zero if it is missing."""
    if options is None or "elapsed" not in options:
        return np.zeros(num_envs, np.int64)
    return options["elapsed"]


def check_step(
    env_id: str, needs_reset: Bool[np.ndarray, " E"], actions: np.ndarray, expected_shape: tuple[int, ...]
) -> None:
    """Check that no episode has ended and that the actions have the shape of the action space.

    Raises:
        gymnasium.error.ResetNeeded: an environment's episode has ended, or was never started.
        ValueError: the actions do not have the shape of the action space.
    """
    if needs_reset.any():
        ended = np.flatnonzero(needs_reset).tolist()
        raise gym.error.ResetNeeded(f"{env_id}: environments {ended} must be reset before they step")
    if actions.shape != expected_shape:
        raise ValueError(f"{env_id}: actions of shape {actions.shape}, not {expected_shape}")
