"""Shapes and types of `dpg` checked at every call, and the few fixtures that the wings share."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook
from xdist.scheduler import LoadScopeScheduling

# A shell's background jobs are deaf to interrupts, and so would be all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before the first import of `dpg`: its annotations become assertions. beartype cannot resolve `Self` on a method that
# it sees without its class, so that one hint is left unchecked.
install_import_hook(
    "dpg",
    "beartype.beartype(conf=beartype.BeartypeConf("
    "hint_overrides=beartype.FrozenDict({__import__('typing').Self: object})))",
)

from dpg.agent.population import Architecture, Population, initialize  # noqa: E402
from dpg.agent.recipe import Recipe  # noqa: E402
from dpg.learning.batch import Batch  # noqa: E402
from dpg.runtime.config import Params, load  # noqa: E402
from dpg.runtime.seeding import Seed  # noqa: E402
from dpg.streams.rollout import Streams  # noqa: E402

torch.set_num_threads(1)

# The same examples every time, whatever the machine's speed.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")

ROOT = Path(__file__).resolve().parents[1]


# Files that take long, in the order in which processes take them up; all others follow. The first makes the run of the
# pipeline that most of `tests/pipeline` looks at, and what comes next does without it, so that nobody waits for it.
FIRST = (
    "tests/pipeline/test_pipeline.py",
    "tests/pipeline/test_dask.py",
    "tests/probes/test_known_answers.py",
    "tests/cli/",
    "tests/stages/",
    "tests/pipeline/test_kills.py",
    "tests/pipeline/",
)
# Each test of these files stands by itself: processes share them out one by one.
FINE = ("tests/pipeline/test_kills.py", "tests/pipeline/test_accidents.py")


# Fixtures that take long, with the marker of the tests that ask for them.
LONG = {"reference": "pipeline", "stopped": "slow"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long, and sort the longest first."""
    for item in items:
        for fixture in LONG.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(LONG[fixture])
    items.sort(key=lambda item: next((i for i, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Of processes side by side, one takes a whole file, or a single test of the files in `FINE`."""

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if nodeid.startswith(FINE) else nodeid.split("::", maxsplit=1)[0]

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def params() -> Params:
    """The repository's own `params.yaml`."""
    return load(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def make_recipe(params: Params) -> Callable[..., Recipe]:
    """A recipe of small networks and batches; `common` and `config` say what differs from `params.yaml` beyond that."""
    small_common = {"timesteps": 128, "policy_hidden": (16,), "value_hidden": (16,)}
    small_value = {"value_epochs": 2, "value_minibatches": 4}
    small_policy = {"epochs": 2, "minibatches": 4}

    def make(
        algorithm: str = "ppo",
        *,
        env_id: str = "InvertedPendulum-v5",
        iterations: int = 4,
        common: dict[str, Any] | None = None,
        config: dict[str, Any] | None = None,
        modules: tuple[str, ...] = (),
    ) -> Recipe:
        small = small_value if algorithm == "trpo" else small_value | small_policy
        return Recipe(
            env_id=env_id,
            algorithm=algorithm,
            modules=modules,
            common=params.common.model_copy(update=small_common | (common or {})),
            config=params.algorithm(algorithm).model_copy(update=small | (config or {})),
            iterations=iterations,
            seed=0,
        )

    return make


@pytest.fixture(scope="session")
def make_population() -> Callable[..., Population]:
    """Freshly initialised agents with one small hidden layer; member i comes from the seed called i."""

    def make(
        members: int = 2,
        *,
        obs_dim: int = 3,
        action_dim: int = 2,
        policy_hidden: tuple[int, ...] = (8,),
        value_hidden: tuple[int, ...] = (8,),
        obs_clip: float | None = None,
    ) -> Population:
        architecture = Architecture(obs_dim, action_dim, policy_hidden, value_hidden, obs_clip)
        return initialize(architecture, "xavier", [Seed(0) / "test" / member for member in range(members)])

    return make


@pytest.fixture(scope="session")
def make_streams() -> Callable[..., Streams]:
    """Streams of Gaussian noise, with episodes that end where `terminated` and `truncated` list (stream, t).

    As an environment would have it, the pair after an end starts a new episode, and what follows every truncation and
    every cut is in `end_obs`.
    """

    def make(
        num_streams: int = 2,
        num_pairs: int = 12,
        *,
        obs_dim: int = 3,
        action_dim: int = 2,
        terminated: tuple[tuple[int, int], ...] = (),
        truncated: tuple[tuple[int, int], ...] = (),
        seed: int = 0,
    ) -> Streams:
        rng = np.random.default_rng(seed)
        terminated_mask, truncated_mask = np.zeros((2, num_streams, num_pairs), bool)
        for at in terminated:
            terminated_mask[at] = True
        for at in truncated:
            truncated_mask[at] = True
        ends = truncated_mask & ~terminated_mask
        ends[:, -1] = ~terminated_mask[:, -1]
        # In the order in which `collect` meets them: by step, then by stream.
        end_at = np.argwhere(ends.T)[:, ::-1].astype(np.int64)
        return Streams(
            obs=rng.standard_normal((num_streams, num_pairs, obs_dim)),
            action=rng.standard_normal((num_streams, num_pairs, action_dim)).astype(np.float32),
            reward=rng.standard_normal((num_streams, num_pairs)),
            terminated=terminated_mask,
            truncated=truncated_mask,
            end_obs=rng.standard_normal((len(end_at), obs_dim)),
            end_at=end_at,
        )

    return make


@pytest.fixture
def population(make_population: Callable[..., Population]) -> Population:
    """Two agents."""
    return make_population(2)


@pytest.fixture
def of_member() -> Callable[[Batch, int], Batch]:
    """One agent's part of a batch."""

    def select(batch: Batch, member: int) -> Batch:
        return Batch(**{field.name: getattr(batch, field.name)[member : member + 1] for field in fields(batch)})

    return select


@pytest.fixture(scope="session")
def on_a_small_disk() -> Callable[[Path, Sequence[str]], "subprocess.CompletedProcess[str]"]:
    """Run a command in a folder that is a file system of 1 MB, mounted for it alone; it may mount it otherwise."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("this system does not let us mount a file system of our own")
    mount = 'mount -t tmpfs -o size=1m tmpfs "$0" && cd "$0" && exec "$@"'

    def run(folder: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        folder.mkdir(exist_ok=True)
        environment = os.environ | {"DVC_ROOT": str(folder), "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            ["unshare", "-rm", "sh", "-c", mount, str(folder), *command],
            check=False,
            capture_output=True,
            encoding="utf-8",
            env=environment,
            timeout=300,
        )

    return run
