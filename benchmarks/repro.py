"""The waits of a user: a `dvc repro` that finds nothing to do, and the start of the `dpg` command.

The former is timed in copies of the project whose outputs are small dummy files, recorded by `dvc commit`. Rows are in
seconds: `ours` is the time, `peer` the limit, and the ratio is the limit over the time, so that the target is 1.
"""

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.harness import Cores, Row

ROOT = Path(__file__).parent.parent
COPIED = (".dvc/config", ".dvcignore", ".gitignore", "dpg", "dvc.yaml", "params.yaml", "stages")
TIMEOUT_S = 600
HELP_SECONDS = 0.5


@dataclass(frozen=True)
class Size:
    """A pipeline, and the limit in seconds for a `dvc repro` without work."""

    name: str
    seconds: float
    params: dict[str, list[str]]


DEFAULT = Size("the default DAG", 3.0, {})
LARGE = Size(
    "3 tasks x 3 algorithms",
    6.0,
    {"envs": ["Hopper-v4", "Walker2d-v4", "Humanoid-v4"], "algorithms": ["ppo", "ppo_m", "trpo"]},
)


def measure(cores: Cores, *, quick: bool) -> Iterator[Row]:  # noqa: ARG001
    """`dpg --help`; the default DAG; unless quick, also a larger one."""
    rounds = 2 if quick else 7
    yield _row("dpg --help", HELP_SECONDS, lambda: _run("dpg.cli", "--help", cwd=ROOT), rounds)
    for size in (DEFAULT,) if quick else (DEFAULT, LARGE):
        with tempfile.TemporaryDirectory() as folder:
            project = Path(folder)
            number = _up_to_date_copy(project, size)
            name = f"cached dvc repro, {size.name}, {number} stages"
            yield _row(name, size.seconds, partial(_repro, project), rounds)


def _row(name: str, limit: float, run: Callable[[], object], rounds: int) -> Row:
    run()  # the first one fills caches
    timings = [_timed(run) for _ in range(rounds)]
    ratios = [limit / wall for wall, _ in timings]
    return Row(
        name=f"{name}: seconds / aim",
        ours=statistics.median(wall for wall, _ in timings),
        peer=limit,
        ratio=statistics.median(ratios),
        ratio_low=min(ratios),
        ratio_high=max(ratios),
        target=1.0,
        unit="seconds",
        rounds=rounds,
        cpu_ratio=statistics.median(limit / cpu for _, cpu in timings),
        cpu_share=sum(cpu for _, cpu in timings) / sum(wall for wall, _ in timings),
    )


def _up_to_date_copy(project: Path, size: Size) -> int:
    """Make a copy of the project in which nothing is stale; returns its number of stages."""
    for name in COPIED:
        target = project / name
        target.parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    yaml, path = YAML(), project / "params.yaml"
    params = yaml.load(path)
    params.update(size.params)
    yaml.dump(params, path)
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    stages = _stages(project)
    for output in chain(*(stage.outs for stage in stages), *(stage.deps for stage in stages)):
        if not Path(output.fs_path).exists():  # a dependency may be one file of an output
            _write_dummy(Path(output.fs_path))
    _run("dvc", "commit", "--force", cwd=project)
    return len(stages)


def _stages(project: Path) -> list[Any]:
    from dvc.repo import Repo  # heavy

    with Repo(str(project)) as repo:
        return list(repo.index.stages)


def _write_dummy(output: Path) -> None:
    """Outputs with a suffix are files, others are folders."""
    if output.suffix:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(f"{output.name}\n", encoding="utf-8")
    else:
        output.mkdir(parents=True, exist_ok=True)
        for name in ("one.csv", "two.csv"):
            (output / name).write_text(f"{output}\n", encoding="utf-8")


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of a call that runs processes."""
    before, start = _cpu_of_children(), time.perf_counter()
    run()
    return time.perf_counter() - start, _cpu_of_children() - before


def _repro(project: Path) -> None:
    """Run `dvc repro`.

    Raises:
        RuntimeError: it found work to do.
    """
    output = _run("dvc", "repro", cwd=project)
    if "Data and pipelines are up to date." not in output or re.search("Running stage|Updating lock file", output):
        raise RuntimeError(f"`dvc repro` found work to do: {output}")


def _run(module: str, *arguments: str, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "DPG_"))}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env=environment,
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
    )
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
