"""`python -m benchmarks`: time this code against its peers, print a table and write `benchmarks/results.json`.

Most rows are ratios of speeds measured alternately on the same cores; those of `memory`, `repro` and `stages` compare a
measurement with a limit. The range of the rounds' ratios is in parentheses. Nothing fails because it is slow. Keep the
machine idle: two cores for about twenty minutes, or five minutes with --quick, whose ratios rest on two rounds each.
Peers that are not installed are skipped, and the table says so.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import (
    baselines,
    gradient,
    landscape,
    machine,
    memory,
    repro,
    rollout,
    stages,
    training,
    update,
    workers,
)
from benchmarks.harness import Cores, Row, Skipped

PARTS: dict[str, Callable[..., Iterator[Row | Skipped]]] = {
    "rollout": rollout.measure,
    "update": update.measure,
    "training": training.measure,
    "gradient": gradient.measure,
    "baselines": baselines.measure,
    "landscape": landscape.measure,
    "memory": memory.measure,
    "workers": workers.measure,
    "repro": repro.measure,
    "stages": stages.measure,
}
RESULTS = Path(__file__).with_name("results.json")
MAX_CORES = 2
BUSY_BELOW = 0.95


def main(arguments: list[str]) -> None:
    """Measure, print and write the results."""
    options = _parser().parse_args(arguments)
    names = options.only or list(PARTS)
    document = _read(options.output) if options.only else {"parts": {}, "rows": [], "skipped": []}
    judged: list[Row] = []
    with Cores(MAX_CORES) as cores:
        where = machine.describe(cores.count)
        _print_heading()
        for name in names:
            started, start = time.gmtime(), time.monotonic()
            found: list[Row | Skipped] = []
            for row in PARTS[name](cores, quick=options.quick):
                _print(row)
                found.append(row)
            judged += [row for row in found if isinstance(row, Row)]
            document["parts"][name] = {
                "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", started),
                "quick": options.quick,
                "seconds": round(time.monotonic() - start),
                "machine": where,
                "versions": machine.versions(),
            }
            for kind, key in ((Row, "rows"), (Skipped, "skipped")):
                others = [row for row in document[key] if row["part"] != name]
                mine = [{"part": name, **asdict(row)} for row in found if isinstance(row, kind)]
                document[key] = sorted(others + mine, key=lambda row: list(PARTS).index(row["part"]))
            options.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    _print_summary(judged, options.output)


def _read(path: Path) -> dict[str, Any]:
    """The results of an earlier run, some parts of which are replaced."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"parts": {}, "rows": [], "skipped": []}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two rounds each, fewer cases, agents with less training")
    parser.add_argument(
        "--only", action="append", choices=list(PARTS), help="measure this part and keep the others (may be repeated)"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="PATH", help="file for the results")
    return parser


def _print_heading() -> None:
    sys.stdout.write(f"{'':76} {'ours':>7} {'peer':>7} {'ratio':>6} {'(spread)':<16} target\n")


def _print(row: Row | Skipped) -> None:
    if isinstance(row, Skipped):
        sys.stdout.write(f"{row.name:76} skipped: {row.reason}\n")
    else:
        target = "-" if row.target is None else f"{row.target:.2f} {'met' if row.met else 'not met'}"
        spread = f"({row.ratio_low:.3g} - {row.ratio_high:.3g})"
        sys.stdout.write(f"{row.name:76} {_short(row.ours)} {_short(row.peer)} {row.ratio:6.3g} {spread:<16} {target}")
        sys.stdout.write(f"  [busy: {row.cpu_share:.0%} of the time]\n" if row.cpu_share < BUSY_BELOW else "\n")
    sys.stdout.flush()


def _short(value: float) -> str:
    """Pairs per second, seconds or bytes, in seven characters."""
    if value >= 1e7:
        return f"{value / 1e9:5.2f}GB"
    return f"{value:7.0f}" if value >= 100 else f"{value:7.2f}"


def _print_summary(rows: list[Row], output: Path) -> None:
    judged = [row for row in rows if row.target is not None]
    sys.stdout.write(
        "Speeds are pairs per second: CPU seconds on 1 core; on several, wall seconds, summed over the processes.\n"
        "`dvc repro` is in wall seconds: its time and its limit.\n"
    )
    if any(row.cpu_share < BUSY_BELOW for row in rows):
        sys.stdout.write(
            "[busy]: the processes had their cores only for that share of the time; other programs ran.\n"
            "The ratios by wall time are unreliable; `cpu_ratio` is less affected.\n"
        )
    sys.stdout.write(f"{sum(bool(row.met) for row in judged)} of {len(judged)} targets met; written to {output}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
