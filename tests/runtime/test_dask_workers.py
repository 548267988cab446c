"""Shards on a real Dask cluster: the same bytes as here, whatever dies, and clear words where it cannot be used."""

import logging
import os
import re
import shutil
import signal
import sys
import time
from functools import partial
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path

import distributed
import numpy as np
import pytest

from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.learning import campaign, training
from dpg.probes import gradient
from dpg.runtime import dask_workers, fingerprint, serialization
from dpg.runtime.attempts import ShardError
from dpg.runtime.budgets import GradientBudget
from dpg.runtime.errors import UserError
from dpg.runtime.progress import Progress
from dpg.runtime.seeding import Seed
from dpg.runtime.shard_cache import open_shard_cache
from dpg.runtime.shards import map_shards, open_context
from tests.dask_cluster import ROOT, Cluster
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and two workers as a user starts them: with nannies, which start anew what was killed."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as found:
        for _ in range(2):
            found.start_worker()
        found.ready(2)
        yield found


@pytest.fixture
def on_dask(cluster, monkeypatch):
    """The environment names the cluster, which has both its workers."""
    cluster.ready(2)
    use(cluster, monkeypatch)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A scheduler whose workers each test starts and ends itself."""
    with Cluster(tmp_path_factory.mktemp("bare")) as found:
        yield found


@pytest.fixture
def on_bare(bare, monkeypatch):
    use(bare, monkeypatch)
    yield bare
    bare.end_workers()


def use(cluster, monkeypatch):
    monkeypatch.setenv("DPG_BACKEND", "dask")
    monkeypatch.setenv("DPG_SCHEDULER", cluster.address)


def begin(function, shards, context):
    """Results as they come."""
    progress = Progress("test", len(shards), "shards")
    return map_shards(function, shards, context, progress=progress, work=lambda shard: 1)


def run(function, shards):
    with open_context() as context:
        return list(begin(function, shards, context))


def train(groups):
    with open_context() as context, Progress("test", sum(group.num_pairs for group in groups)) as progress:
        work = attrgetter("num_pairs")
        run = partial(map_shards, campaign.run_shard, context=context, progress=progress, work=work)
        return list(campaign.train(groups, run, every=2))


# Shards, which the workers import from here.


def draw(shard):
    time.sleep(0.05 * (3 - shard % 4))  # later ones are done sooner
    return shard, (Seed(0) / "shard" / shard).generator().standard_normal(1000).sum()


def me() -> str:
    return distributed.get_worker().address


def measure_and_die_once(job):
    """A gradient's shard whose worker is killed when it is all but done, the first time."""
    marker, shard = job
    result = gradient.measure(shard)
    if marker is not None and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def fail_where_broken(folder):
    """Fails at once on the worker that is broken, and takes its time on others: that one is idle and they are not."""
    tried(folder)
    if me() == Path(folder, "broken").read_text(encoding="utf-8"):
        raise ValueError("not here")
    time.sleep(0.2)
    return me()


def fail_then_kill_then_work(folder):
    """Fails on one worker, kills the other at its second attempt, and ends well at its third."""
    tried(folder)
    attempt = len(tries(folder))
    if attempt == 1:
        raise ValueError("not here")
    if attempt == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return attempt


def fail_but_kill_at_the_second_attempt(folder):
    tried(folder)
    if len(tries(folder)) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("nowhere")


def fail_everywhere(folder):
    tried(folder)
    raise ValueError("nowhere")


def mistake(folder):
    tried(folder)
    raise UserError("common.timesteps = 7: fix it")


def tried(folder):
    with Path(folder, "tries").open("a", encoding="utf-8") as file:
        file.write(f"{me()}\n")


def linger(seconds):
    time.sleep(seconds)
    return me()


def rest(shard):
    time.sleep(0.1)
    return shard


def echo(array):
    return array


def tries(folder):
    return Path(folder, "tries").read_text(encoding="utf-8").split()


# Results.


def test_the_cluster_gives_what_a_loop_gives_in_order(on_dask):
    assert run(draw, range(9)) == [draw(shard) for shard in range(9)]


def test_both_workers_work_and_the_bill_names_them(cluster, on_dask):
    with open_context() as context:
        found = set(begin(linger, [0.2] * 8, context))
    assert found == set(context.usage.peak_memory) == set(cluster.workers())
    assert context.workers.width == 2


@pytest.mark.slow
def test_a_training_is_the_same_bytes_as_on_local_processes(make_recipe, monkeypatch, on_dask):
    groups = campaign.groups_of(make_recipe("ppo", iterations=3), 4, 2)
    theirs = train(groups)
    monkeypatch.setenv("DPG_BACKEND", "local")
    monkeypatch.setenv("DPG_JOBS", "2")
    ours = train(groups)
    assert [result.population.iteration for result in ours] == [iteration for iteration in (0, 2, 3) for _ in range(4)]
    assert serialization.to_bytes(theirs) == serialization.to_bytes(ours)
    assert not np.array_equal(ours[0].population.policy, ours[-1].population.policy)


@pytest.fixture
def probe(make_recipe):
    """A gradient probe's shards."""
    recipe = make_recipe("ppo")
    snapshot = Snapshot(0, recipe, training.begin(recipe, make_vector(recipe.env_id, 1), [0]))
    budget = GradientBudget(repeats=3, sizes=(16, 64, 128, 256), true_pairs=512)
    return gradient.plan([snapshot], budget, seed=0, streams_per_shard=1)


@pytest.mark.slow
def test_a_probe_is_the_same_bytes_where_a_worker_is_killed(probe, tmp_path, on_dask):
    fatal = str(tmp_path / "killed")
    theirs = run(measure_and_die_once, [(fatal if index == 2 else None, shard) for index, shard in enumerate(probe)])
    assert Path(fatal).exists()
    assert serialization.to_bytes(theirs) == serialization.to_bytes([gradient.measure(shard) for shard in probe])


def test_a_large_shard_is_sent_without_a_warning(on_dask):
    large = np.arange(3e6)
    (found,) = run(echo, [large])
    np.testing.assert_array_equal(found, large)


@pytest.mark.slow
def test_a_worker_that_joins_later_is_used(cluster, on_dask):
    with open_context() as context:
        results = begin(linger, [0.1] * 400, context)
        first = {next(results) for _ in range(4)}
        joined = cluster.start_worker("--nthreads", "1", "--no-nanny")
        try:
            wait_for(lambda: next(results) not in first)
            wait_for(lambda: next(results) and context.workers.width == 3)
        finally:
            cluster.end(joined)


# Failures of a shard.


def test_what_fails_on_one_worker_is_tried_on_the_other(tmp_path, cluster, on_dask):
    """However idle the one is: what fails at once has time for all attempts of every shard."""
    broken, other = cluster.workers()
    folders = [tmp_path / str(index) for index in range(6)]
    for folder in folders:
        folder.mkdir()
        (folder / "broken").write_text(broken, encoding="utf-8")
    assert run(fail_where_broken, [str(folder) for folder in folders]) == [other] * 6
    assert all(tries(folder) in ([other], [broken, other]) for folder in folders)
    assert any(tries(folder) == [broken, other] for folder in folders)


@pytest.mark.slow
def test_what_waits_for_a_worker_that_has_gone_is_tried_on_any(tmp_path, on_dask):
    """The worker that takes the killed one's place has another address, for which the shard would wait forever."""
    assert run(fail_then_kill_then_work, [str(tmp_path)]) == [3]


@pytest.mark.slow
def test_an_attempt_whose_worker_has_gone_neither_counts_nor_hides_the_error(tmp_path, on_dask):
    with pytest.raises(ShardError, match="failed 3 times") as caught:
        run(fail_but_kill_at_the_second_attempt, [str(tmp_path)])
    assert "ValueError: nowhere" in str(caught.value)
    assert len(tries(tmp_path)) == 4


def test_what_fails_everywhere_is_named_with_its_inputs(tmp_path, on_dask):
    with pytest.raises(ShardError, match="fail_everywhere failed 3 times") as caught:
        run(fail_everywhere, [str(tmp_path)])
    assert str(tmp_path) in str(caught.value)
    assert "ValueError: nowhere" in str(caught.value)
    assert len(tries(tmp_path)) == 3
    assert re.findall(r"tcp://[\d.]+:\d+", str(caught.value)) == tries(tmp_path)


def test_a_user_error_is_raised_at_once(tmp_path, on_dask):
    with pytest.raises(UserError, match=r"common\.timesteps = 7: fix it") as caught:
        run(mistake, [str(tmp_path)])
    assert not isinstance(caught.value, ShardError)
    assert len(tries(tmp_path)) == 1


def test_a_shard_that_no_worker_can_read_is_named(monkeypatch, on_dask):
    """What a worker cannot import fails before there is anything to try."""
    monkeypatch.setattr(draw, "__module__", "known_here_alone")
    monkeypatch.setitem(sys.modules, "known_here_alone", sys.modules[__name__])
    with pytest.raises(ShardError, match="No module named 'known_here_alone'"):
        run(draw, [1, 2])


@pytest.mark.slow
def test_a_shard_that_kills_every_worker_ends_in_an_error(on_dask):
    with pytest.raises(ShardError, match="raise_signal failed 1 time ") as caught:
        run(signal.raise_signal, [signal.SIGKILL])
    assert "for <Signals.SIGKILL: 9>: its workers died, one after another" in str(caught.value)
    assert "on 4 different workers" in str(caught.value)  # Dask's own limit


# A cluster that cannot be used.


def test_an_address_is_needed(monkeypatch):
    monkeypatch.setenv("DPG_BACKEND", "dask")
    monkeypatch.delenv("DPG_SCHEDULER", raising=False)
    with pytest.raises(UserError, match=r"needs DPG_SCHEDULER.*tcp://host:8786"):
        run(abs, [1])


def test_an_unknown_backend_is_refused(monkeypatch):
    monkeypatch.setenv("DPG_BACKEND", "ray")
    with pytest.raises(UserError, match=r"DPG_BACKEND = 'ray': must be one of local, dask"):
        run(abs, [1])


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://here", "127.0.0.1:port"])
def test_a_scheduler_that_is_not_there_is_named(monkeypatch, address):
    monkeypatch.setattr(dask_workers, "TIMEOUT_S", 0.5)
    monkeypatch.setenv("DPG_BACKEND", "dask")
    monkeypatch.setenv("DPG_SCHEDULER", address)
    with pytest.raises(UserError, match=rf"DPG_SCHEDULER = '{address}': no Dask scheduler answers there"):
        run(abs, [1])


def test_a_cluster_without_workers_is_refused(on_bare):
    with pytest.raises(UserError, match=f"{on_bare.address} has no workers; start some"):
        run(abs, [1])


def test_a_scheduler_that_does_not_know_the_project_is_refused(tmp_path, monkeypatch):
    runtime = tmp_path / "dpg" / "runtime"
    runtime.mkdir(parents=True)
    for file in (runtime.parent / "__init__.py", runtime / "__init__.py", runtime / "dask_workers.py"):
        file.touch()  # another version, which lacks what ours names
    with Cluster(tmp_path, cwd=tmp_path) as other:
        use(other, monkeypatch)
        with pytest.raises(UserError, match=r"does not know this project .*start it again"):
            run(abs, [1])


def test_a_cluster_that_loses_its_last_worker_is_given_up(on_bare, monkeypatch):
    monkeypatch.setattr(dask_workers, "NO_WORKERS_TIMEOUT_S", 1.0)
    monkeypatch.setattr(dask_workers, "POLL_INTERVAL_S", 0.2)
    on_bare.start_worker("--nthreads", "1", "--no-nanny")
    on_bare.ready(1)
    with open_context() as context:
        results = begin(time.sleep, [0.1] * 400, context)
        next(results)
        on_bare.end_workers()
        with pytest.raises(UserError, match="has no workers and has had none for 1 seconds; start some"):
            list(results)


def test_a_worker_with_several_threads_is_refused(on_bare):
    on_bare.start_worker("--nthreads", "2", "--no-nanny")
    on_bare.ready(1)
    with pytest.raises(UserError, match=r"differs from this process in threads \(2, not 1\); start .*--nthreads 1"):
        run(abs, [1])


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(ROOT / "dpg", tmp_path / "dpg", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_what_draws_is_part_of_the_identity(copy, monkeypatch):
    """A worker with another style, drawing code or matplotlib would give other figures."""
    monkeypatch.setattr(dask_workers, "_code", dask_workers._code.__wrapped__)  # without its cache
    monkeypatch.setattr(fingerprint, "_PACKAGE", copy / "dpg")
    found = [dask_workers.identity((), threads=1)]
    for path in ("report/style.py", "report/paper.mplstyle", "record/derive.py"):
        with (copy / "dpg" / path).open("a", encoding="utf-8") as source:
            source.write("#\n")
        found.append(dask_workers.identity((), threads=1))
    assert len({each["the code of dpg"] for each in found}) == len(found)
    assert found[0]["matplotlib"] == version("matplotlib")


@pytest.mark.slow
def test_what_counts_is_the_code_that_a_worker_has_loaded(copy, on_bare, monkeypatch):
    """Files that change under a worker do not make it another; one that starts then is, even while shards run."""
    first = on_bare.start_worker("--nthreads", "1", "--no-nanny", cwd=copy)
    on_bare.ready(1)
    assert run(abs, [-1, 2]) == [1, 2]
    with (copy / "dpg" / "runtime" / "seeding.py").open("a", encoding="utf-8") as source:
        source.write("# another line\n")
    assert run(abs, [-3]) == [3]
    monkeypatch.setattr(dask_workers, "POLL_INTERVAL_S", 1000.0)  # so that the shards themselves must find out
    with open_context() as context:
        results = begin(time.sleep, [0.1] * 400, context)
        next(results)
        on_bare.start_worker("--nthreads", "1", "--no-nanny", cwd=copy)
        with pytest.raises(UserError, match="differs from this process in the code of dpg"):
            list(results)
    on_bare.end(first)
    on_bare.ready(1)
    with pytest.raises(UserError, match="differs from this process in the code of dpg"):
        run(abs, [1])


@pytest.mark.slow
def test_a_lost_scheduler_is_reported_and_finished_shards_are_kept(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    reported = partial(pytest.raises, UserError, match=r"is lost.*start it and its workers again")
    with Cluster(tmp_path) as lost:
        use(lost, monkeypatch)
        lost.start_worker("--nthreads", "1", "--no-nanny")
        lost.ready(1)
        monkeypatch.setattr(dask_workers, "TIMEOUT_S", 2.0)
        with reported(), open_shard_cache("test", "cell", {}) as cache, open_context(cache) as context:
            results = begin(rest, range(40), context)
            assert [next(results), next(results)] == [0, 1]
            lost.scheduler.kill()
            with reported():
                list(results)
            wait_for(lambda: context.workers._client.status == "closed")  # it has stopped trying to come back
            next(begin(rest, [40], context))
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]  # our error says it all
    monkeypatch.setenv("DPG_BACKEND", "local")
    with open_shard_cache("test", "cell", {}) as cache, open_context(cache) as context:
        results = begin(rest, range(40), context)
        assert [next(results), next(results)] == [0, 1]
    assert context.usage.resumed == 2
