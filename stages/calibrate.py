"""Hold every estimator against a known answer, and the same checks against estimators that are broken on purpose."""

from dpg.probes import validation
from dpg.tables.calibrate import Check
from dpg.tables.table import write_all
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.scope import DATA, Scope

SEED = 0
OUT = DATA / "calibrate"


def main() -> None:
    """Write `data/calibrate/calibration.csv`; an unexpected outcome of a check is reported and stops nothing."""
    logged = {"calibrate": {"streams": validation.MIN_STREAMS}}
    with run_stage("calibrate", Scope(), logged, OUT) as stage:
        shards = validation.plan(SEED)
        found = stage.map(validation.measure, shards, unit="kinds", work=lambda _: 1)
        checks = write_all({Check: validation.tabulate(found)}, stage.tables)[Check]
        failed = int((checks["passed"] == checks["broken"]).sum())
        stage.run.log_metrics({"calibrate.checks": len(checks), "calibrate.failed": failed}, step=0)


if __name__ == "__main__":
    entrypoint.run(main)
