"""A stage on a Dask cluster, one worker of which is killed on the way, leaves the bytes of a local run."""

import json
import subprocess
import sys

import pytest

from tests.dask_cluster import Cluster
from tests.pipeline.project import ENV, ROOT, clone, digest, environment, shell
from tests.waiting import wait_for

pytestmark = pytest.mark.slow
STAGE = (sys.executable, "-m", "stages.train", ENV, "ppo")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A copy in which the stage has run locally, and the bytes that it left."""
    target = clone(ROOT, tmp_path_factory.mktemp("dask") / "project", scale="smoke")
    shell(*STAGE, cwd=target, DPG_JOBS="1")
    return target, results(target)


def results(project):
    return {folder: digest(project / "data" / folder) for folder in ("train", "tables")}


def test_a_killed_worker_changes_nothing(trained, tmp_path):
    folder, local = trained
    with Cluster(tmp_path, cwd=folder) as cluster, (tmp_path / "stage.log").open("w+", encoding="utf-8") as log:
        doomed = cluster.start_worker("--nthreads", "1", "--no-nanny", cwd=folder)
        cluster.start_worker("--nthreads", "1", "--no-nanny", cwd=folder)
        cluster.ready(2)
        settings = environment(DPG_BACKEND="dask", DPG_SCHEDULER=cluster.address)
        with subprocess.Popen(STAGE, cwd=folder, env=settings, stdout=log, stderr=log) as stage:
            wait_for(lambda: len(list(folder.glob(".scratch/train/**/*.shard"))) >= 2 or stage.poll() is not None)
            doomed.kill()
            assert stage.poll() is None, "it had ended before the worker was killed"
            code = stage.wait()
        log.seek(0)
        assert code == 0, log.read()
        cluster.ready(1)
    assert results(folder) == local
    record = json.loads((folder / "data" / "runs" / "train" / ENV / "ppo.json").read_text(encoding="utf-8"))
    assert record["cost"]["resumed_shards"] == 0
    assert not (folder / ".scratch").exists()
