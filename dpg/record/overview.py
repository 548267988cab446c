"""The README of a record: what ran, what came out, what it cost, and how to check and repeat it."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dpg.record import tables
from dpg.record.contents import Contents
from dpg.record.lock import Lock
from dpg.report.page.records import Record, machines, total
from dpg.runtime.units import duration, size

TITLE = """\
# The record of an experiment

<!-- Made by `python -m dpg.record write`, which replaces it. -->
"""
FILES = """\
| file | what it is |
|---|---|
| [index.html](index.html) | the report: verdicts, figures with their captions and tables, runs and cost |
| [claims.json](claims.json), [metrics.json](metrics.json), [curves.csv](curves.csv) | verdicts with effects and intervals, numbers, learning curves |
| [figures/](figures) | the figures, and [index.json](figures/index.json) with the caption and tables of each |
| [tables/](tables) | every table of the experiment, `tables/<stage>/<env>/<algorithm>/` |
| [params.yaml](params.yaml), [dvc.lock](dvc.lock), [provenance.json](provenance.json) | the parameters; hashes of code, inputs and results; run, cost, versions and hardware of each stage |
"""  # noqa: E501 - rows of a table
CHECK = """\
```sh
python -m dpg.record check      # exit code 1, and a line for each disagreement
```

This decides the claims, computes the numbers, and draws the figures and the page again from the tables, with the
report's own code, and compares. Tables must have the hashes in `dvc.lock`, verdicts and sample sizes must be equal.
Processors round differently: numbers in JSON and CSV may differ by one in a million, decimals in texts by one in the
last digit if they are measured, pixels by 8 of 255 shades.

Nothing is compared with what only the stages' runs knew: costs, versions, hardware, commits, ids of runs, and the
command in `provenance.json`. Whether a table was really measured, only running its cell again can show.
"""


def render(contents: Contents, claims: Sequence[Mapping[str, Any]]) -> str:
    """The README."""
    parts = [TITLE, state(contents), FILES, "## Verdicts\n", tables.summary(claims)]
    parts += ["### By cell\n", tables.by_cell(claims), "## Check it\n", CHECK]
    parts += ["## Cost\n", costs(contents), "## Repeat one cell\n", repeat(contents)]
    parts += ["## Versions and hardware\n", hardware(contents), "## Left out\n", left_out(contents)]
    return "\n".join(parts)


def state(contents: Contents) -> str:
    """Which cells of the experiment have run, and what has not."""
    params, label = contents.params, contents.experiment.label
    of_cell: dict[str, list[Record]] = defaultdict(list)
    for run in contents.runs.values():
        if run.algorithm:
            of_cell[cell_of(run, contents)].append(run)
    finished = [cell for cell, runs in of_cell.items() if not any(run.missing for run in runs)]
    whole = [cell for cell, runs in of_cell.items() if all(run.missing for run in runs)]
    stages = [run for run in contents.runs.values() if run.missing and cell_of(run, contents) not in whole]
    pending = [*whole, *(f"`{run.name}`" for run in stages)]
    tasks, algorithms = ", ".join(params.envs), ", ".join(label(name) for name in params.algorithms)
    lines = [f"{tasks}; {algorithms}; scale `{params.scale}`, seed {params.seed}, command {code(contents.command)}."]
    lines.append(
        f"{len(finished)} of {len(of_cell)} cells are finished{': ' if finished else ''}{'; '.join(finished)}."
    )
    if pending:
        lines.append(f"\nNot run yet, and so *not measured* in all that follows: {'; '.join(pending)}.")
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """A text on one line, as code in Markdown: between more backticks than it has in a row."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{' '.join(text.split())}{pad}{fence}"


def cell_of(run: Record, contents: Contents) -> str:
    """The name of a stage's cell; empty if the stage is one of a task or of the pipeline."""
    return f"{run.env}, {contents.experiment.label(run.algorithm)}" if run.algorithm else ""


def runs_by_cell(contents: Contents) -> dict[str, list[Record]]:
    """The stages that have run, by the name of their cell; those of a task or of the pipeline by their own."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for run in contents.runs.values():
        if not run.missing:
            groups[cell_of(run, contents) or f"`{run.name}`"].append(run)
    return groups


def costs(contents: Contents) -> str:
    """A Markdown table of pairs and times by cell, with the stages of a task and of the pipeline by themselves."""
    groups = runs_by_cell(contents)
    every = [run for runs in groups.values() for run in runs]
    rows = ["| cell or stage | stages | pairs | core time | time |", "|---|---:|---:|---:|---:|"]
    for name, runs in (*groups.items(), ("all", every)):
        cost = total(runs)
        times = (duration(cost["core_seconds"]), duration(cost["wall_seconds"]))
        rows.append(f"| {name} | {len(runs)} | {cost['pairs']:,.0f} | {' | '.join(times)} |")
    note = (
        "Each stage alone: [index.html](index.html). For a stage that was stopped and continued, the times are those "
        "of its last part; the pairs are all.\n"
    )
    return "\n".join([*rows, "", note])


def repeat(contents: Contents) -> str:
    """How to run one cell again, and compare it."""
    finished = [run for run in contents.runs.values() if not run.missing]
    first = next(run for run in finished if run.stage == "train")
    cell = first.name.partition("@")[2]
    stages = [run.stage for run in finished if run.algorithm and run.name.endswith(f"@{cell}")]
    folder = f"{first.env}/{first.algorithm}"
    commit = first.provenance.get("git.commit", "")[:12] or "COMMIT"
    return f"""\
In a clone of its own, here for `{cell}`; the table above says what each cell costs:

```sh
record=$PWD/docs/record                    # from the root of the clone that has this record
git clone . ../repeat && cd ../repeat && git checkout {commit}
cp "$record/params.yaml" .
make setup && source .venv/bin/activate
dvc repro {" ".join(f"{stage}@{cell}" for stage in stages)}
for stage in {" ".join(stages)}; do
  diff -r data/tables/$stage/{folder} "$record/tables/$stage/{folder}"
done
```

On the same kind of processor with the same versions, the tables are equal byte for byte. On another kind, training
differs in rounding, agents part ways within some iterations, and the numbers are those of other agents.
"""


def hardware(contents: Contents) -> str:
    """Versions and hardware of the stages' runs, and their commits."""
    lines: list[str] = []
    found = list(machines(list(contents.runs.values())))
    for names, provenance in found:
        which = f"{'; '.join(_together(names, contents))}: " if len(found) > 1 else ""
        lines.append(which + ", ".join(f"{name} {value}" for name, value in provenance.items()) + ".\n")
    return "\n".join(lines)


def _together(names: Sequence[str], contents: Contents) -> Iterator[str]:
    """Names of stages, or that of their cell where they are all of its stages."""
    for place, runs in runs_by_cell(contents).items():
        own = [run.name for run in runs if run.name in names]
        yield from [place] if len(own) == len(runs) else (f"`{name}`" for name in own)


def left_out(contents: Contents) -> str:
    """What the experiment has and the record has not, with its size and the reason."""
    sizes: dict[str, int] = defaultdict(int)
    own = Lock({name: entry for name, entry in contents.lock.stages.items() if name in contents.runs})
    for path, output in own.outputs.items():
        parts = Path(path).parts
        if parts[0] == "data" and parts[1] not in {"tables", "runs", "calibrate"}:
            sizes["/".join(parts[:2])] += output.get("size", 0)
    return "\n".join(_left_out(sizes))


def _left_out(sizes: Mapping[str, int]) -> Iterator[str]:
    large = ", ".join(f"`{name}` {size(count)}" for name, count in sizes.items() if count >= 1e5)
    yield "- Of the tables, nothing is left out."
    if large:
        yield f"- Snapshots and arrays, because of their size: {large}. The stages make them again from the seed."
    yield "- Landscape figures of all agents of a cell but the first. The tables have all agents."
    yield "- Figures as SVG and PDF, and the interactive landscapes (5 MB each). `dvc repro` makes them.\n"
