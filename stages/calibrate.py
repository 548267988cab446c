"""Hold every estimator against a known answer, and the same checks against estimators that are broken on purpose."""

from dpg.probes import calibration
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards
from dpg.tables.calibrate import Check
from dpg.tables.table import write
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import DATA, PipelineScope

OUT = DATA / "calibrate"


def main() -> None:
    """Write `data/calibrate/calibration.csv`; a check that does not come out as it should is told and stops nothing."""
    shard = calibration.Shard(calibration.MIN_STREAMS)
    with (
        run_stage("calibrate", PipelineScope(), {"calibrate": {"streams": shard.streams}}, OUT) as stage,
        Progress("calibrate", 1, "calibrations") as progress,
    ):
        (out,) = stage.outputs
        (checks,) = map_shards(calibration.measure, [shard], stage.context, progress=progress, work=lambda _: 1)
        write(Check, checks, out)
        failed = sum(not check.as_expected for check in checks)
        stage.run.log_metrics({"calibrate.checks": len(checks), "calibrate.failed": failed}, step=0)
        stage.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    entrypoint.run(main)
