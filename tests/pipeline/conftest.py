"""One run of the pipeline for all tests that look at what it leaves."""

import pytest

from tests.pipeline.project import ROOT, TASK_STAGE, chain, clone, ran, shell


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A clone in which the pipeline has run for two algorithms, its stages side by side."""
    target = clone(ROOT, tmp_path_factory.mktemp("clone") / "project", scale="smoke", algorithms=["ppo", "trpo"])
    output = shell("python", "-m", "dpg.cli", "repro", "-j", "2", cwd=target)
    assert ran(output) == {"params", "calibrate", "figures", "report", TASK_STAGE} | chain("ppo", "trpo")
    return target
