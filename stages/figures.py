"""Draw the paper's figures from the tables, decide its claims, and write the numbers that tell experiments apart."""

import json
import os
import sys
from pathlib import Path

from dpg.report import metrics, style
from dpg.report.claims import decisions
from dpg.report.gallery import drawings
from dpg.report.tables import load
from dpg.runtime import config
from dpg.runtime.outputs import write_table, write_whole
from dpg.runtime.progress import Progress
from stages import edge
from stages.cell import Whole, tables_of
from stages.execution import execute

REPORTS = Path("reports")
FIGURES = REPORTS / "figures"


def main() -> None:
    """Draw every figure of every cell, and summarise them."""
    params = config.load()
    statistics, timesteps = params.statistics, params.common.timesteps
    measured = load(params.envs, params.algorithms, tables_of)
    gallery = drawings(measured, timesteps, statistics)
    claims = decisions.decide(measured, timesteps, statistics)
    summary = metrics.summarize(measured, timesteps, statistics) | {"claims": decisions.count(claims)}
    logged = {
        "envs": params.envs,
        "algorithms": params.algorithms,
        "statistics": statistics.model_dump(),
        "figures": params.figures.model_dump(),
    }
    with (
        execute("figures", Whole(), logged, FIGURES) as execution,
        Progress("figures", len(gallery), "figures") as progress,
    ):
        run, (figures,) = execution.run, execution.outputs
        for drawing in gallery:
            style.save(drawing.draw(), figures, drawing.name, params.figures.formats, params.figures.dpi)
            progress.advance(1)
        captions = {drawing.name: drawing.caption for drawing in gallery}
        (figures / "captions.json").write_text(json.dumps(captions, indent=2, sort_keys=True) + "\n")
        write_whole(decisions.to_json(claims), REPORTS / "claims.json")
        write_whole(metrics.to_json(summary), REPORTS / "metrics.json")
        curves = REPORTS / ".curves.csv.partial"
        write_table(metrics.curves(measured.history, statistics), curves)
        os.replace(curves, REPORTS / "curves.csv")
        run.log_metrics(metrics.flat(summary), step=0)
        run.log_artifacts(figures, "figures")
    print(FIGURES, file=sys.stderr)


if __name__ == "__main__":
    edge.run(main)
