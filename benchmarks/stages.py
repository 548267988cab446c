"""What the stages of the last `dvc repro` in this folder cost, from their own records in `data/runs`.

`ours` is the share of their time that a stage's workers computed (all its cells together), or seconds and their limit.
Rows mean something after a run of the default scale on an idle machine: a stage takes some seconds to start.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Cores, Row, Skipped

RUNS = Path(__file__).parent.parent / "data" / "runs"
BUSY = 0.9  # target: no stage leaves a core idle for more than a tenth of its time
LIMITS = {"figures": 10.0}  # seconds, for the default scale


def measure(cores: Cores, *, quick: bool) -> Iterator[Row | Skipped]:  # noqa: ARG001
    """One row for every stage that has been run, and the time of those with a limit."""
    costs: dict[str, list[dict[str, float]]] = {}
    for path in sorted(RUNS.rglob("*.json")):
        stage = path.relative_to(RUNS).parts[0].removesuffix(".json")
        cost = json.loads(path.read_text(encoding="utf-8"))["cost"]
        if cost["shards"]:  # else the stage had nothing to measure
            costs.setdefault(stage, []).append(cost)
    if not costs:
        yield Skipped("stages of the last run", "there are no records in data/runs: run `dvc repro` first")
    for stage, runs in costs.items():
        offered = sum(run["wall_seconds"] * run["workers"] for run in runs)
        busy = sum(run["core_seconds"] for run in runs) / offered
        workers = max(run["workers"] for run in runs)
        yield _row(f"stage {stage}, {workers:.0f} workers: busy share of their time", busy, 1.0, busy, BUSY, len(runs))
        if stage in LIMITS:
            seconds, limit = sum(run["wall_seconds"] for run in runs), LIMITS[stage]
            yield _row(f"stage {stage}: seconds / aim", seconds, limit, limit / seconds, 1.0, len(runs))


def _row(name: str, ours: float, peer: float, ratio: float, target: float, rounds: int) -> Row:
    unit = "seconds" if "seconds" in name else "share"
    return Row(name, ours, peer, ratio, ratio, ratio, target, unit, rounds, cpu_ratio=ratio, cpu_share=1.0)
