"""Draw the paper's figures from the tables, decide its claims, and write the numbers that tell experiments apart."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dpg.report import alignment, metrics, style
from dpg.report.claims import decisions
from dpg.report.gallery import drawings
from dpg.report.tables import load
from dpg.runtime import config
from dpg.runtime.outputs import replacing, write_atomic, write_table
from dpg.runtime.progress import Progress
from dpg.runtime.schema import Params
from dpg.tracking import runs
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.lineage import read_records, warn_of_changed_code
from stages.common.scope import PipelineScope, tables_of

REPORTS = Path("reports")
FIGURES = REPORTS / "figures"


def main() -> None:
    """Draw every figure of every cell, and summarise them."""
    params = config.load()
    warn_of_changed_code(params)
    statistics, timesteps = params.statistics, params.common.timesteps
    measured = load(params.envs, params.algorithms, tables_of)
    gallery = drawings(measured, timesteps, statistics)
    claims = decisions.decide(measured, timesteps, statistics)
    summary = metrics.summarize(measured, timesteps, statistics) | {"claims": decisions.count(claims)}
    with (
        run_stage("figures", PipelineScope(), in_use(params), FIGURES) as stage,
        Progress("figures", len(gallery), "figures") as progress,
    ):
        run, (figures,) = stage.run, stage.outputs
        for drawing in gallery:
            style.save(drawing.draw(), figures, drawing.name, params.figures.formats, params.figures.dpi)
            progress.advance(1)
        captions = {drawing.name: drawing.caption for drawing in gallery}
        write_table(alignment.table(measured.alignment, statistics), figures / "landscape_alignment.csv")
        (figures / "captions.json").write_text(json.dumps(captions, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        write_atomic(decisions.to_json(claims), REPORTS / "claims.json")
        write_atomic(metrics.to_json(summary), REPORTS / "metrics.json")
        with replacing(REPORTS / "curves.csv") as draft:
            table = write_table(metrics.curves(measured.history, statistics), draft)
        run.log_metrics(metrics.flat(summary), step=0)
        for row in table.to_dict("records"):
            curve = f"mean_return/{row['env']}.{row['algorithm']}"
            run.log_metrics({curve: row["mean_return"]}, step=int(row["pairs"]))
        run.log_artifacts(figures, "figures")
        for name in ("metrics.json", "curves.csv"):
            run.log_file(REPORTS / name)
        made = read_records(params.envs, params.algorithms)
        unknown = run.link(made)
    tell(made, unknown)
    print(FIGURES, file=sys.stderr)


def in_use(params: Params) -> dict[str, Any]:
    """The parameters of the whole experiment: this run stands for it. What nothing of it uses is left out."""
    unused = params.blocks.keys() - {*params.algorithms, params.regimes.algorithm}
    return params.model_dump(exclude={"scales", *unused}) | {"scales": {params.scale: params.budget.model_dump()}}


def tell(made: Mapping[str, Mapping[str, Any]], unknown: Sequence[str]) -> None:
    """Say what of the pipeline's tracking is elsewhere, or was lost."""
    for name, each in made.items():
        if name in unknown:
            print(f"{name}: its run {each['run_id']} is in {each['tracking_uri']}", file=sys.stderr)
        if each.get("lost_messages"):
            print(f"warning: {runs.summary_of_loss(name, each['run_id'], each['lost_messages'])}", file=sys.stderr)


if __name__ == "__main__":
    entrypoint.run(main)
