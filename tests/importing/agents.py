"""Agents that Stable-Baselines3 trains in a second, and how the tests read them."""

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from dpg.agent.snapshot import Snapshot
from dpg.importing.errors import AgentImportError
from dpg.importing.options import Options
from dpg.importing.read import import_agent

ENV = "InvertedPendulum-v5"
GAMMA = 0.98


@dataclass(frozen=True)
class Trained:
    """A model of Stable-Baselines3 with its environments, and the folder that holds its files."""

    model: Any
    envs: Any
    folder: Path

    @property
    def zip(self) -> Path:
        return self.folder / "model.zip"

    @property
    def normalizer(self) -> Path:
        return self.folder / "vecnormalize.pkl"


def train_model(folder: Path, algorithm: str, activation: str, normalize: bool, settings: dict[str, Any]) -> Trained:
    import sb3_contrib
    import stable_baselines3
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    envs: Any = make_vec_env(ENV, n_envs=2, seed=0)
    if normalize:
        envs = VecNormalize(envs, gamma=GAMMA, epsilon=1e-4, clip_obs=3.0)
    sizes = {"n_steps": 64} | ({} if algorithm == "A2C" else {"batch_size": 32})
    networks = {"net_arch": {"pi": [16, 8], "vf": [12]}, "activation_fn": getattr(torch.nn, activation)}
    library = sb3_contrib if algorithm == "TRPO" else stable_baselines3
    model = getattr(library, algorithm)(
        "MlpPolicy", envs, seed=3, gamma=GAMMA, device="cpu", policy_kwargs=networks, **(sizes | settings)
    )
    model.learn(512)
    model.save(folder / "model.zip")
    if normalize:
        envs.save(str(folder / "vecnormalize.pkl"))
    return Trained(model, envs, folder)


def saved(value: Any) -> bytes:
    """What `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def read(path: Path, **options: Any) -> Snapshot:
    return import_agent(path, Options(**{"env_id": ENV} | options))


@cache
def read_folder(folder: Path) -> Snapshot:
    """The agent in a folder that does not change."""
    return read(folder)


def refusal(path: Path, error: type[Exception] = AgentImportError, **options: Any) -> str:
    """The one line with which an agent is refused."""
    with pytest.raises(error) as caught:
        read(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
