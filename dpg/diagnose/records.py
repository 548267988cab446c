"""The agent's own record of its returns, where its folder has one. Nothing in these files is ever run.

`evaluations.npz` and `*.monitor.csv` are Stable-Baselines3's: whole episodes with deterministic and with sampled
actions. `history.csv` is ours: means over the episodes of an iteration, with sampled actions.
"""

import csv
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dpg.agent.snapshot import Snapshot
from dpg.report.aggregate import LAST_ITERATIONS
from dpg.runtime import project
from dpg.runtime.outputs import read_table

LAST_EPISODES = 100  # of training: the window of Stable-Baselines3's `ep_rew_mean`
MAX_BYTES = 1 << 26  # of a file, unpacked; larger ones are left out


@dataclass(frozen=True)
class RecordedReturns:
    """Returns that the agent's own training wrote down: of `what`, with sampled or deterministic `actions`."""

    what: str
    actions: str
    returns: Float[np.ndarray, " N"]


def records_around(path: Path, snapshot: Snapshot) -> tuple[RecordedReturns, ...]:
    """The records in the folder of an agent, or in its project."""
    folder = path if path.is_dir() else path.parent
    found = [*_evaluations(folder), *_monitors(folder), *_history(path, snapshot)]
    return tuple(record for record in found if len(record.returns) >= 2 and np.isfinite(record.returns).all())


def _evaluations(folder: Path) -> Iterator[RecordedReturns]:
    file = folder / "evaluations.npz"
    if not file.is_file():
        return
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            if sum(member.file_size for member in arrays.zip.infolist()) > MAX_BYTES:
                return
            results, steps = arrays["results"], arrays["timesteps"]
        last = np.asarray(results[-1], np.float64).ravel()
        yield RecordedReturns(f"evaluations.npz, after {int(steps[-1]):,} pairs", "deterministic", last)
    except Exception:  # of as many kinds as there are ways to be damaged; a pickle is refused
        return


def _monitors(folder: Path) -> Iterator[RecordedReturns]:
    """The last episodes of training; those of several environments are merged by their time."""
    rows: list[tuple[float, float]] = []
    for file in sorted(folder.glob("*monitor.csv")):
        if not file.is_file() or file.stat().st_size > MAX_BYTES:
            continue
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        with suppress(csv.Error):  # what is no table ends the file
            for row in csv.DictReader(line for line in lines if not line.startswith("#")):
                with suppress(KeyError, TypeError, ValueError):
                    rows.append((float(row["t"]), float(row["r"])))
    if rows:
        last = [reward for _, reward in sorted(rows)[-LAST_EPISODES:]]
        yield RecordedReturns(f"monitor.csv, the last {len(last)} episodes of training", "sampled", np.array(last))


def _history(path: Path, snapshot: Snapshot) -> Iterator[RecordedReturns]:
    """The iterations before a snapshot of a project of ours."""
    root, recipe = project.around(path), snapshot.recipe
    if root is None or root / "data" / "train" not in path.resolve().parents:
        return
    file = root / "data" / "tables" / "train" / recipe.env_id / recipe.algorithm / "history.csv"
    if not file.is_file():
        return
    rows = read_table(file)
    before = rows[(rows["agent"] == snapshot.agent) & (rows["iteration"] < snapshot.iteration)]
    means = before["mean_return"].dropna().to_numpy(np.float64)[-LAST_ITERATIONS:]
    yield RecordedReturns(f"history.csv, the last {len(means)} iterations before it", "sampled", means)
