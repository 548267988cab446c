"""Models that Stable-Baselines3 trains here, and files of theirs that somebody has changed."""

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.importing.agents import Trained, saved, train_model


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Trained]:
    """A trained model; the same arguments give the same one."""
    pytest.importorskip("stable_baselines3", reason="the bench extra is not installed")
    pytest.importorskip("sb3_contrib", reason="the bench extra is not installed")
    made: dict[str, Trained] = {}

    def make(algorithm: str = "PPO", activation: str = "Tanh", normalize: bool = True, **settings: Any) -> Trained:
        key = repr((algorithm, activation, normalize, sorted(settings.items())))
        if key not in made:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # other libraries' own
                made[key] = train_model(tmp_path_factory.mktemp("trained"), algorithm, activation, normalize, settings)
        return made[key]

    return make


@pytest.fixture
def rewritten(tmp_path: Path) -> Callable[..., Path]:
    """A copy of a model's zip with keys of its JSON changed, members replaced, or tensors added."""

    def make(
        source: Path,
        data: dict[str, Any] | None = None,
        members: dict[str, bytes] | None = None,
        tensors: dict[str, Any] | None = None,
    ) -> Path:
        with zipfile.ZipFile(source) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        if data:
            content["data"] = json.dumps(json.loads(content["data"]) | data).encode()
        if tensors:
            found = torch.load(io.BytesIO(content["policy.pth"]), weights_only=True)
            merged = {name: tensor for name, tensor in {**found, **tensors}.items() if tensor is not None}
            content["policy.pth"] = saved(merged)
        target = tmp_path / "changed.zip"
        with zipfile.ZipFile(target, "w") as archive:
            for name, each in (content | (members or {})).items():
                archive.writestr(name, each)
        return target

    return make
