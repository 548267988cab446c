"""One run of the pipeline for all tests that look at what it leaves, whichever process they run in."""

import os

import pytest
from filelock import FileLock

from tests.pipeline.project import ROOT, TASK_STAGE, chain, clone, copy, ran, shell


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """A clone in which the pipeline has run for two algorithms, its stages side by side. No test changes it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # where all the processes of this session meet
    target, made = folder / "reference" / "project", folder / "reference" / "made"
    with FileLock(folder / "reference.lock"):
        assert made.exists() or not target.exists(), "another process could not make it, and says why"
        if not made.exists():
            clone(ROOT, target, scale="smoke", algorithms=["ppo", "trpo"])
            output = shell("python", "-m", "dpg.cli", "repro", "-j", "2", cwd=target)
            assert ran(output) == {"params", "calibrate", "figures", "report", TASK_STAGE} | chain("ppo", "trpo")
            made.touch()
    return target


@pytest.fixture(scope="module")
def project(reference, tmp_path_factory):
    """A copy of the reference that the tests of a file may change."""
    return copy(reference, tmp_path_factory.mktemp("copy") / "project")
