"""MLflow runs of stages, with their parameters, metrics, artifacts and lineage."""

import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils import chunk_list
from mlflow.utils.validation import MAX_METRICS_PER_BATCH, MAX_PARAMS_TAGS_PER_BATCH, MAX_TAG_VAL_LENGTH

from dpg.runtime import machine
from dpg.tracking.errors import TrackingError, explained, without_login
from dpg.tracking.store import open_store

NOTE = "mlflow.note.content"  # the tag that the UI shows as the description
MADE_BY = ("| stage | made by |", "|---|---|")
PAUSE_FACTOR = 10  # after a failure nothing is sent for so many times as long as it took
PACKAGES = ("dpg", "torch", "mujoco", "gymnasium", "numpy", "scipy", "mlflow", "dvc")


@dataclass
class Pause:
    """Until when nothing is sent to a store that has failed, by the monotonic clock."""

    until: float = 0.0


class Run:
    """One MLflow run. Metrics are buffered. A store that fails later on causes a warning and does not stop the work."""

    def __init__(
        self, client: MlflowClient, experiment_id: str, name: str, tags: Mapping[str, str], pause: Pause | None = None
    ) -> None:
        self._client = client
        self._pause = pause or Pause()
        self._experiment_id = experiment_id
        self._tags = dict(tags)
        self._metrics: list[Metric] = []
        self._children: list[Run] = []
        self._params: dict[str, Any] = {}
        # Charts distinguish runs by their names.
        full_name = " ".join(filter(None, (name, os.environ.get("DVC_EXP_NAME"))))
        run = client.create_run(experiment_id, run_name=full_name, tags=self._tags)
        self.id: str = run.info.run_id
        self.lost = 0  # messages that the store did not accept

    def child(self, name: str, tags: Mapping[str, str]) -> "Run":
        """A run nested under this one, with its parameters and tags plus further tags.

        Raises:
            TrackingError: the store does not make one.
        """
        tags = self._tags | dict(tags) | {"mlflow.parentRunId": self.id}
        with explained():
            child = Run(self._client, self._experiment_id, name, tags, self._pause)
        child.log_params(self._params)
        self._children.append(child)
        return child

    @property
    def all_lost(self) -> int:
        """Messages of this run and its nested runs that the store did not accept."""
        return self.lost + sum(child.all_lost for child in self._children)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters, nested ones under dotted names."""
        self._params |= params
        entries = [Param(name, _text(value)) for name, value in flatten(params).items()]
        for chunk in chunk_list(entries, MAX_PARAMS_TAGS_PER_BATCH):
            self._send(partial(self._client.log_batch, self.id, params=chunk))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics at a step, in environment steps; values that are not finite are omitted."""
        now = int(time.time() * 1000)
        finite = {name: value for name, value in metrics.items() if abs(value) < float("inf")}
        self._metrics += [Metric(name, float(value), now, step) for name, value in finite.items()]
        if len(self._metrics) >= MAX_METRICS_PER_BATCH:
            self.flush()

    def log_curve(self, metric: str, table: pd.DataFrame, column: str, timesteps: int) -> None:
        """Log the mean of a column by iteration as a metric; an iteration has `timesteps` environment steps."""
        means = table.groupby("iteration")[column].mean()
        for iteration, value in zip(means.index.to_numpy(), means.to_numpy(), strict=True):
            self.log_metrics({metric: float(value)}, step=int(iteration) * timesteps)

    def flush(self) -> None:
        """Send the buffered metrics."""
        metrics, self._metrics = self._metrics, []
        for chunk in chunk_list(metrics, MAX_METRICS_PER_BATCH):
            self._send(partial(self._client.log_batch, self.id, metrics=chunk))

    def log_file(self, path: Path) -> None:
        """Log a file as an artifact."""
        self._send(partial(self._client.log_artifact, self.id, str(path)))

    def log_artifacts(self, directory: Path, under: str) -> None:
        """Log the files of a directory as artifacts in the folder `under`."""
        self._send(partial(self._client.log_artifacts, self.id, str(directory), under))

    def link(self, made: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Link the runs that made this run's inputs, given their records (`run_id`, `tracking_uri`) by stage.

        Each becomes a tag and a row of a table, in the artifact `made_by.md` and, as far as it fits, in the
        description. Returns the stages whose runs this store does not know.
        """
        lines, unknown = list[str](), list[str]()

        def send() -> None:
            for name, record in made.items():
                self._client.set_tag(self.id, f"made_by.{name.replace('@', '.')}", record["run_id"])  # no @ is allowed
                try:
                    run = self._client.get_run(record["run_id"])
                except MlflowException as error:
                    if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                        raise
                    unknown.append(name)
                    lines.append(f"| {name} | `{record['run_id']}` in {record['tracking_uri']} |")
                else:
                    page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
                    lines.append(f"| {name} | [{run.info.run_name}]({page}) |")
            self._client.log_text(self.id, "\n".join([*MADE_BY, *lines, ""]), "made_by.md")
            whole = f"#/experiments/{self._experiment_id}/runs/{self.id}/artifacts/made_by.md"
            self._client.set_tag(self.id, NOTE, _note(self._tags.get(NOTE, ""), lines, whole))

        self._send(send)
        return unknown

    def end(self, status: str) -> None:
        """Close the run and its nested runs as FINISHED, FAILED or KILLED."""
        self._pause.until = 0.0
        self._end(status)

    def _end(self, status: str) -> None:
        self.flush()
        for child in self._children:
            child._end(status)
        self._send(partial(self._client.set_terminated, self.id, status))

    def _send(self, message: Callable[[], object]) -> None:
        """Send a message, unless the store has just failed.

        A server that is gone fails after a minute: with every run of a training, at each of its snapshots, that would
        take longer than the training.
        """
        began = time.monotonic()
        if began < self._pause.until:
            self.lost += 1
            return
        try:
            message()
        except Exception as error:  # of any type: MLflow passes on the errors of its libraries
            self.lost += 1
            now = time.monotonic()
            self._pause.until = now + PAUSE_FACTOR * (now - began)
            print(f"warning: MLflow run {self.id} lost data: {without_login(error)}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def stage_run(
    stage: str, params: Mapping[str, Any], tags: Mapping[str, str], resumes: str | None, description: str = ""
) -> Generator[Run]:
    """A run for one execution of a stage; `description` is Markdown for the run's page.

    `resumes` is the run of an earlier execution that was killed; it is closed.

    Raises:
        TrackingError: the store cannot be used; raised before any work.
    """
    dvc_name = os.environ.get("DVC_STAGE", stage)
    known = provenance() | _experiment()
    with explained():
        client, experiment_id = open_store()
        run = Run(client, experiment_id, dvc_name, {"stage": stage, NOTE: description, **tags, **known})
    if resumes is not None:
        _close_killed(client, experiment_id, resumes, by=run.id)
    run.log_params(params)
    try:
        yield run
    except BaseException as error:
        run.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    run.end("FINISHED")
    if run.all_lost:
        print(f"warning: {summary_of_loss(dvc_name, run.id, run.all_lost)}", file=sys.stderr, flush=True)


def _note(text: str, lines: Sequence[str], whole: str) -> str:
    """A description with the table of runs, cut to the rows that fit, with a link to the whole table."""
    note = "\n".join([text, "", *MADE_BY, *lines])
    kept = len(lines)
    while len(note) > MAX_TAG_VAL_LENGTH and kept:
        kept -= 1
        rest = f"and {len(lines) - kept} more: [made_by.md]({whole}) among the artifacts has all"
        note = "\n".join([text, "", *MADE_BY, *lines[:kept], "", rest])
    return note


def summary_of_loss(stage: str, run_id: str, lost: int) -> str:
    """The warning for a run that is incomplete."""
    messages = "1 message" if lost == 1 else f"{lost} messages"
    return f"MLflow lost {messages} of {stage}: its run {run_id} is incomplete, its results are not"


def attach(path: Path, run_id: str) -> None:
    """Add a file to a run that has ended; failure causes a warning only."""
    try:
        with explained():
            client, _ = open_store()
        client.log_artifact(run_id, str(path))
    except Exception as error:  # as in `Run`
        message = error if isinstance(error, TrackingError) else without_login(error)
        print(f"warning: {path} is missing from MLflow's run {run_id}: {message}", file=sys.stderr, flush=True)


def _close_killed(client: MlflowClient, experiment_id: str, run_id: str, by: str) -> None:
    """End a killed run and its nested runs. The store may not know it."""
    with contextlib.suppress(MlflowException):
        nested = client.search_runs([experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")
        for run in (client.get_run(run_id), *nested):
            if run.info.status == "RUNNING":
                client.set_tag(run.info.run_id, "resumed_by", by)
                client.set_terminated(run.info.run_id, "KILLED")


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as a flat one with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def provenance() -> dict[str, str]:
    """The versions, hardware and commit of this process."""
    tags = {f"version.{package}": version(package) for package in PACKAGES}
    tags |= {
        "version.python": platform.python_version(),
        "hardware.machine": platform.machine(),
        "hardware.cpu": machine.cpu(),
        "hardware.cores": str(os.cpu_count()),
    }
    with contextlib.suppress(OSError, subprocess.CalledProcessError):  # no git, or no repository
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, encoding="utf-8", check=True)
        tags["git.commit"] = commit.stdout.strip()
    return {name: value for name, value in tags.items() if value}


def _experiment() -> dict[str, str]:
    """DVC's description of the experiment."""
    names = ("DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "DVC_ROOT")
    return {name.lower().replace("_", ".", 1): os.environ[name] for name in names if os.environ.get(name)}


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | tuple | dict | bool) or value is None else str(value)
