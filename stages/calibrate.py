"""Hold every estimator against a known answer, and the same checks against estimators that are broken on purpose."""

from dpg.probes import calibration
from dpg.runtime.outputs import write_table
from dpg.runtime.progress import Progress
from dpg.runtime.shards import map_shards
from stages import edge
from stages.cell import DATA, Whole
from stages.execution import execute

OUT = DATA / "calibrate"


def main() -> None:
    """Write `data/calibrate/calibration.csv`; a check that does not come out as it should is told and stops nothing."""
    shard = calibration.Shard(calibration.MIN_STREAMS)
    with (
        execute("calibrate", Whole(), {"calibrate": {"streams": shard.streams}}, OUT) as execution,
        Progress("calibrate", 1, "calibrations") as progress,
    ):
        (out,) = execution.outputs
        (checks,) = map_shards(calibration.measure, [shard], execution.workshop, progress=progress, work=lambda _: 1)
        write_table(checks, out / "calibration.csv")
        failed = sum(not check.as_expected for check in checks)
        execution.run.log_metrics({"calibrate.checks": len(checks), "calibrate.failed": failed}, step=0)
        execution.run.log_artifacts(out, "tables")


if __name__ == "__main__":
    edge.run(main)
