"""The overhead of parallel shards: two processes against one, and Dask (on loopback) against local processes.

The shards are the pipeline's, run by its own `map_shards` and `campaign.train`. The processes have started and
completed one round before timing begins. Speeds are by wall time, since waiting is what is measured.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path

from benchmarks.agents import recipe, snapshot
from benchmarks.harness import Cores, Lap, Row, Skipped, Timing, race
from benchmarks.machine import lacking
from dpg.learning import campaign
from dpg.probes import gradient
from dpg.probes.stream_blocks import StreamShard
from dpg.runtime.budgets import GradientBudget
from dpg.runtime.local_workers import LocalProcesses
from dpg.runtime.progress import Progress
from dpg.runtime.shards import ExecutionContext, map_shards
from dpg.runtime.workers import Workers

ROOT = Path(__file__).parent.parent
ENV_ID = "Hopper-v4"
TIMEOUT_S = 60
STREAMS = 8  # per shard: at least a second of work, as in the pipeline
# Targets: two processes over one, and Dask over local processes (within 15 % of their time).
OVER_ONE = 1.8
OVER_LOCAL = 0.87
ONE, TWO, DASK = "1 process", "2 processes", "2 Dask workers"


def measure(cores: Cores, *, quick: bool) -> Iterator[Row | Skipped]:
    """The gradient probe's shards on all three, when quick on the last two; training on local processes."""
    size = 2 if quick else 4
    probe, training = f"gradient probe, {ENV_ID}", f"training, ppo, {ENV_ID}, 2 groups of {size} agents"
    if cores.count == 1:
        for name in (probe, training):
            yield Skipped(f"{name}, {TWO} / {ONE}", "there is one core")
        return
    rounds, shards_each, iterations = (2, 1, 1) if quick else (5, 3, 3)
    reason = lacking("distributed", group="dask")
    with ExitStack() as stack:
        engines: dict[str, Workers] = {}
        for name, width in ((ONE, 1), (TWO, 2)):
            engines[name] = LocalProcesses(width)
            stack.callback(engines[name].close)
        if not reason:
            engines[DASK] = stack.enter_context(_dask(2))

        shards = _shards(2 * shards_each)
        names = [name for name in engines if name != ONE or not quick]
        laps = race({name: partial(_lap, partial(_collect, shards), engines[name]) for name in names}, rounds)
        if not quick:
            yield laps.row(f"{probe}, {TWO} / {ONE}", TWO, ONE, OVER_ONE)
        seconds = statistics.median(lap[0].cpu for lap in laps.laps[TWO]) / shards_each
        name = f"{probe}, shards of {seconds:.1f} CPU s, {DASK} / {TWO}"
        yield Skipped(name, reason) if reason else laps.row(name, DASK, TWO, OVER_LOCAL)

        train = partial(_train, size, iterations)
        laps = race({name: partial(_lap, train, engines[name]) for name in (ONE, TWO)}, rounds)
        yield laps.row(f"{training}, {TWO} / {ONE}", TWO, ONE, OVER_ONE)


def _shards(number: int) -> list[StreamShard]:
    agent = snapshot(ENV_ID, 1)
    pairs = STREAMS * agent.recipe.common.timesteps
    budget = GradientBudget(repeats=max(3, number), sizes=(pairs,), true_pairs=2 * pairs)
    return gradient.plan([agent], budget, agent.recipe.seed, STREAMS)[:number]


def _collect(shards: Sequence[StreamShard], context: ExecutionContext) -> int:
    results = map_shards(gradient.measure, shards, context, progress=Silent(), work=lambda shard: shard.num_pairs)
    return sum(shard.num_pairs for shard, _ in zip(shards, results, strict=True))


def _train(size: int, iterations: int, context: ExecutionContext) -> int:
    """Train two groups from their initialisation, as the pipeline does."""
    short = recipe(ENV_ID, "ppo").model_copy(update={"iterations": iterations})
    groups = campaign.groups_of(short, 2 * size, size)
    run = partial(map_shards, campaign.run_shard, context=context, progress=Silent(), work=attrgetter("num_pairs"))
    for _ in campaign.train(groups, run, every=1):
        pass
    return sum(group.num_pairs for group in groups)


def _lap(work: Callable[[ExecutionContext], int], workers: Workers) -> Lap:
    """Pairs and core seconds are divided evenly among the workers; each takes the whole wall time."""
    context = ExecutionContext(workers)
    start = time.perf_counter()
    pairs = work(context)
    wall = time.perf_counter() - start
    share = Timing(pairs // workers.width, wall, context.usage.cpu_seconds / workers.width)
    return [share] * workers.width


class Silent(Progress):
    """Progress without output."""

    def __init__(self) -> None:
        self.unit = "pairs"

    def advance(self, amount: int, *, resumed: bool = False) -> None:
        """Nothing."""


@contextmanager
def _dask(width: int) -> Generator[Workers]:
    """A scheduler and `width` workers, each a process on this machine."""
    import distributed

    from dpg.runtime.dask_workers import DaskWorkers

    processes: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> None:
        command = [sys.executable, "-m", "dask", *arguments, "--host", "127.0.0.1", "--no-dashboard"]
        quiet = subprocess.DEVNULL
        processes.append(subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet))

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "scheduler.json")
        try:
            start("scheduler", "--port", "0", "--scheduler-file", str(file))
            _wait_for(lambda: file.exists() and file.read_text(encoding="utf-8").endswith("}"))
            address = json.loads(file.read_text(encoding="utf-8"))["address"]
            for _ in range(width):
                start("worker", address, "--nthreads", "1", "--no-nanny")
            with distributed.Client(address, timeout=TIMEOUT_S, set_as_default=False) as client:
                client.wait_for_workers(width, timeout=TIMEOUT_S)
            workers = DaskWorkers(address)
            try:
                yield workers
            finally:
                workers.close()
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the Dask scheduler does not start")
        time.sleep(0.02)
