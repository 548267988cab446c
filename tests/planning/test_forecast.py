"""What is foretold of time, memory and disk: by arithmetic on made-up measurements, and against real stages."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dpg.planning import calibration, drawing, forecast, memory, stand_ins, tables, workload
from dpg.planning.calibration import Calibration, CalibrationError, Model
from dpg.planning.cell import Cell
from dpg.planning.footprint import Footprint
from dpg.planning.measurement import Measured, Sample
from dpg.planning.work import Load, StageWork
from dpg.report import tables as report_tables
from dpg.report.gallery import drawings

ROOT = Path(__file__).parents[2]
ENV, ALGORITHM = "Hopper-v4", "ppo"
MB = 10**6


def test_rates_and_memory_are_read_off_samples():
    """Two seconds a step and one a pair; 100 MB, and 1 kB for every pair that is held."""
    samples = [
        Sample(work=work, pairs=pairs, seconds=2 * work[0] + work[1], peak=100 * MB + 1000 * pairs)
        for work, pairs in (((4, 4), 1000), ((2, 8), 2000), ((4, 16), 4000))
    ]
    model = Model.fit(Measured(samples=samples, idle=50 * MB), start_seconds=1.0)
    assert model.seconds((10, 100)) == pytest.approx(120)
    assert model.memory(1_000_000) == pytest.approx(1100 * MB)


def test_memory_that_noise_lets_shrink_is_taken_as_constant():
    samples = [Sample(work=(1, 1), pairs=n, seconds=1.0, peak=100 * MB - n) for n in (1, 10, 20)]
    model = Model.fit(Measured(samples=samples, idle=50 * MB), start_seconds=1.0)
    assert model.memory(10**9) == 100 * MB - 20


@pytest.mark.parametrize(
    ("shards", "workers", "expected"),
    [([(3, 2.0)], 2, 4.0), ([(4, 2.0)], 2, 4.0), ([(1, 5.0), (4, 1.0)], 2, 5.0), ([(10_000, 1.0)], 4, 2500.0)],
)
def test_shards_fall_to_the_worker_that_is_free_first(shards, workers, expected):
    assert forecast.makespan(shards, workers) == expected


def made_up() -> Calibration:
    """A second a pair; workers peak at 300 MB, of which 100 MB are at work; stages' processes hold 500 MB."""
    model = Model((0.0, 1.0), 300 * MB, 10, 0.0, 200 * MB, start_seconds=2.0)
    return Calibration(
        {(ENV, ALGORITHM, "value"): model},
        Footprint(resident={"value": 500 * MB}, seconds={"value": 3.0}, tracking=0),
        None,
    )


@pytest.mark.parametrize(
    ("count", "jobs", "workers", "memory_mb", "wall", "core"),
    [
        (4, 2, 2, 500 + 2 * 300, 3 + 2 + 20, 3 + 2 * 2 + 40),
        (3, 8, 3, 500 + 3 * 300, 3 + 2 + 10, 3 + 3 * 2 + 30),
        (4, 1, 1, 500 + 100, 3 + 40, 3 + 40),  # no worker: the stage's own process does it
        (1, 8, 1, 500 + 100, 3 + 10, 3 + 10),
    ],
)
def test_as_many_workers_as_there_are_shards_and_jobs(count, jobs, workers, memory_mb, wall, core):
    work = StageWork("value", ENV, ALGORITHM, rounds=((Load("value", count, (10, 10), 10, 1),),))
    (found,) = forecast.forecast([work], made_up(), jobs)
    assert (found.workers, found.memory_bytes) == (workers, memory_mb * MB)
    assert (found.wall_seconds, found.core_seconds) == (wall, core)


def test_a_task_that_fails_to_be_measured_is_told(params):
    broken = params.model_copy(update={"common": params.common.model_copy(update={"env_modules": ("nowhere",)})})
    task = stand_ins.Task(ENV, 11, 3, 1000)
    work = StageWork("value", ENV, ALGORITHM, rounds=((Load("value", 1, (10, 10), 10, 1),),))
    with pytest.raises(CalibrationError, match="'nowhere' cannot be imported"):
        calibration.measure(broken, {ENV: task}, [work], jobs=2)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are forgotten on Linux alone")
def test_a_peak_can_be_forgotten():
    memory.forget_peak()
    before = memory.peak()
    np.ones(50 * MB // 8).sum()
    assert memory.peak() > before + 40 * MB
    memory.forget_peak()
    assert memory.peak() < before + 20 * MB


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from /proc")
def test_real_stages_take_the_memory_and_disk_that_are_foretold(params, tmp_path):
    """Within 20 %: a stage that learns, and one that does without PyTorch."""
    for folder in ("dpg", "stages"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    smoke = params.model_copy(update={"scale": "smoke"})
    (tmp_path / "params.yaml").write_text(
        (ROOT / "params.yaml").read_text(encoding="utf-8").replace("scale: laptop", "scale: smoke"), encoding="utf-8"
    )
    tasks = stand_ins.tasks_of(smoke)
    cell = Cell(smoke, tasks[ENV], ALGORITHM)
    works = [workload.train(cell), workload.checkpoint(cell)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_", "DPG_"))}
    foretold = forecast.forecast(works, calibration.measure(smoke, tasks, works, jobs=2), jobs=2)
    for found in foretold:
        stage = found.work.stage
        command = [sys.executable, "-m", f"stages.{stage}", ENV, ALGORITHM]
        subprocess.run(command, cwd=tmp_path, env=inherited | {"DPG_JOBS": "2"}, check=True, capture_output=True)
        cost = json.loads((tmp_path / "data" / "runs" / stage / ENV / f"{ALGORITHM}.json").read_text(encoding="utf-8"))[
            "cost"
        ]
        assert (found.work.pairs == cost["pairs"]) or found.work.approximate
        assert found.work.episodes == cost["episodes"]
        assert found.workers == cost["workers"] == 2
        assert found.memory_bytes == pytest.approx(cost["peak_memory_bytes"], rel=0.2), stage
        assert found.output_bytes == pytest.approx(cost["output_bytes"], rel=0.2), stage


def test_every_figure_of_a_report_has_one_that_stands_for_it(params, tmp_path):
    """Drawn for a task and two algorithms, from tables that are read as the stage reads them."""
    two = params.model_copy(update={"scale": "smoke", "algorithms": ("ppo", "trpo")})
    tables.write(two, stand_ins.tasks_of(two), tmp_path)
    measured = report_tables.load(two.envs, two.algorithms, partial(tables.place, tmp_path))
    gallery = drawings(measured, two.common.timesteps, two.statistics)
    assert {drawing.model_of(figure.name) for figure in gallery} == {"fig07_landscape", "fig09", "fig04"}
    assert len(gallery) == 2 + 11 + 2 * 4


def test_figures_alone_count_the_run_that_they_open(params):
    """What MLflow holds is some 60 MB, whatever else is measured beside it."""
    smoke = params.model_copy(update={"scale": "smoke"})
    works = [StageWork("params"), StageWork("figures")]
    found = calibration.measure(smoke, stand_ins.tasks_of(smoke), works, jobs=2)
    assert found.footprint.tracking > 30 * MB
    assert found.drawn is not None and found.drawn.figures == 17
