"""Memory of the gradient probe, which should not depend on the number of pairs.

It runs on Humanoid on local processes, as the stage does. Rows are in bytes: the sum of the peak resident sets of this
process and its workers. `ours` is measured at the larger number of pairs; `peer` is the limit, or the memory at the
smaller number; the ratio is `peer` over `ours`. Omitted when quick: a million pairs take minutes.
"""

from collections.abc import Iterator

from benchmarks.agents import params, snapshot
from benchmarks.harness import Cores, Row
from benchmarks.workers import Silent
from dpg.probes import gradient
from dpg.runtime.budgets import GradientBudget
from dpg.runtime.local_workers import LocalProcesses
from dpg.runtime.machine import peak_memory
from dpg.runtime.shards import ExecutionContext, map_shards

ENV_ID = "Humanoid-v4"
FEW, MANY = 100_000, 1_000_000  # pairs of the true gradient and of the largest estimates together
LIMIT = 2e9  # bytes
FLAT = 0.9


def measure(cores: Cores, *, quick: bool) -> Iterator[Row]:
    """Measure the smaller number first: a peak never falls."""
    if quick:
        return
    few, many = (_peak(pairs, cores.count) for pairs in (FEW, MANY))
    name = f"gradient probe, {ENV_ID}, {cores.count} workers, memory at {MANY:,} pairs"
    yield _row(f"{name} / 2 GB", many, LIMIT, 1.0)
    yield _row(f"{name} / at {FEW:,}", many, few, FLAT)


def _peak(pairs: int, width: int) -> float:
    """Peak memory, in bytes, of a probe of this many pairs."""
    agent = snapshot(ENV_ID, 1)
    statistics = params().statistics
    size = pairs // 5  # of four estimates and of the true gradient
    budget = GradientBudget(repeats=4, sizes=(200, 2000, 10_000, size), true_pairs=size)
    shards = gradient.plan([agent], budget, agent.recipe.seed)
    workers = LocalProcesses(width)
    try:
        context = ExecutionContext(workers)
        results = map_shards(gradient.measure, shards, context, progress=Silent(), work=lambda shard: shard.num_pairs)
        gradient.tabulate(gradient.gather(shards, results), statistics, agent.recipe.seed)
    finally:
        workers.close()
    return peak_memory() + sum(context.usage.peak_memory.values())


def _row(name: str, ours: float, peer: float, target: float) -> Row:
    ratio = peer / ours
    return Row(name, ours, peer, ratio, ratio, ratio, target, "bytes", rounds=1, cpu_ratio=ratio, cpu_share=1.0)
