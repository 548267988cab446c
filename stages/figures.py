"""Draw the paper's figures from the tables, decide its claims, and write the numbers to compare experiments by."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dpg.report import metrics
from dpg.report.claims import decisions
from dpg.report.experiment import read
from dpg.report.figures import catalog
from dpg.report.figures.spec import render
from dpg.report.summaries import alignment_table
from dpg.runtime import config
from dpg.runtime.outputs import replacing, write_atomic, write_table
from dpg.runtime.schema import Params
from dpg.runtime.shards import run_shards
from dpg.tables.landscape import Alignment
from dpg.tracking import runs
from stages.common import entrypoint
from stages.common.execution import run_stage
from stages.common.lineage import read_records, warn_of_changed_code
from stages.common.scope import Scope, tables_of

REPORTS = Path("reports")
FIGURES = REPORTS / "figures"
NAMED_ELSEWHERE = 3


def main() -> None:
    """Draw every figure of every cell, and summarise them."""
    params = config.load()
    warn_of_changed_code(params)
    experiment = read(params, tables_of)
    instances, decided = catalog.instances(experiment), decisions.decide(experiment)
    summary = metrics.summarize(experiment) | {"claims": decisions.count(decided)}
    with run_stage("figures", Scope(), in_use(params), FIGURES, artifacts="figures") as stage:
        run, (figures,) = stage.run, stage.outputs
        renderings = [each.rendering(params.figures.formats, params.figures.dpi) for each in instances]
        uncached = replace(stage.context, cache=None)  # the cache's keys leave the report's code out
        drawn = run_shards(render, renderings, uncached, work=lambda _: 1, title=stage.title, unit="figures")
        for instance, files in zip(instances, drawn, strict=True):
            for kind, data in files.items():
                (figures / f"{instance.name}.{kind}").write_bytes(data)
        (figures / "index.json").write_text(catalog.index(each.entry() for each in instances), encoding="utf-8")
        write_table(alignment_table(experiment[Alignment], params.statistics), figures / "landscape_alignment.csv")
        write_atomic(decisions.to_json(decided), REPORTS / "claims.json")
        write_atomic(metrics.to_json(summary), REPORTS / "metrics.json")
        with replacing(REPORTS / "curves.csv") as draft:
            table = write_table(metrics.curves(experiment), draft)
        run.log_metrics(metrics.flat(summary), step=0)
        for row in table.to_dict("records"):
            curve = f"mean_return/{row['env']}.{row['algorithm']}"
            run.log_metrics({curve: row["mean_return"]}, step=int(row["pairs"]))
        for name in ("metrics.json", "curves.csv"):
            run.log_file(REPORTS / name)
        made = read_records(params.envs, params.algorithms)
        unknown = run.link(made)
    report_tracking(made, unknown)
    print(FIGURES, file=sys.stderr)


def in_use(params: Params) -> dict[str, Any]:
    """The parameters of the whole experiment, which this run represents; without the unused ones."""
    unused = params.blocks.keys() - {*params.algorithms, params.regimes.algorithm}
    return params.model_dump(exclude={"scales", *unused}) | {"scales": {params.scale: params.budget.model_dump()}}


def report_tracking(made: Mapping[str, Mapping[str, Any]], unknown: Sequence[str]) -> None:
    """Say what of the pipeline's tracking is elsewhere, or was lost."""
    elsewhere = dict[str, list[str]]()
    for name, each in made.items():
        if name in unknown:
            elsewhere.setdefault(each["tracking_uri"], []).append(name)
        if each.get("lost_messages"):
            print(f"warning: {runs.summary_of_loss(name, each['run_id'], each['lost_messages'])}", file=sys.stderr)
    for store, names in elsewhere.items():
        more = len(names) - NAMED_ELSEWHERE
        which = ", ".join(names[:NAMED_ELSEWHERE]) + (f" and {more} more" if more > 0 else "")
        print(f"{which}: made by runs in {store} (made_by.md in this run has their ids)", file=sys.stderr)


if __name__ == "__main__":
    entrypoint.run(main)
