"""The pipeline as DVC sees it: its stages by address, their graph, and which of them are stale."""

import graphlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpg.runtime import config
from dpg.runtime.errors import UserError

Outputs = dict[str, str]


class PipelineError(UserError):
    """DVC cannot read the pipeline; the message is DVC's."""


class BusyError(PipelineError):
    """Another DVC process holds the pipeline's lock."""


@dataclass(frozen=True)
class Pipeline:
    """Stages, what each depends on, and what DVC knows of each.

    Attributes:
        parents: the stages that a stage depends on; each key follows its parents.
        stale: stages that DVC would run now. Those that depend on them may follow.
        outputs: hashes of a stage's outputs in `dvc.lock`; None where the present outputs differ from them.
    """

    parents: Mapping[str, tuple[str, ...]]
    stale: frozenset[str]
    outputs: Mapping[str, Outputs | None]

    def below(self, stages: frozenset[str]) -> frozenset[str]:
        """The stages that depend on some of `stages`, at any distance."""
        found: set[str] = set()
        for stage, parents in self.parents.items():
            if any(parent in stages or parent in found for parent in parents):
                found.add(stage)
        return frozenset(found)

    def heights(self) -> dict[str, int]:
        """The length of the longest chain of stages that waits for each stage."""
        heights = dict.fromkeys(self.parents, 0)
        for stage in reversed(list(self.parents)):
            for parent in self.parents[stage]:
                heights[parent] = max(heights[parent], heights[stage] + 1)
        return heights


def read(targets: Sequence[str] = ()) -> Pipeline:
    """The pipeline of the current directory's project, or of `targets` and all that they depend on.

    Raises:
        PipelineError: there is no project, no such target, or a mistake in `dvc.yaml`.
        ConfigError: there is a mistake in `params.yaml`.
        BusyError: another DVC process is at work.
    """
    with _repo() as repo:
        stages, parents = _chosen(repo, targets)
        status: dict[str, list[Any]] = repo.status(targets=list(targets) or None, with_deps=bool(targets))
        return Pipeline(
            parents=parents,
            stale=frozenset(status) & frozenset(stages),
            outputs={
                name: None if _outputs_differ(status.get(name, [])) else _outputs(stage)
                for name, stage in stages.items()
            },
        )


def outline() -> tuple[Pipeline, dict[Path, bool]]:
    """The pipeline with no stage marked stale; its outputs, and which of them DVC caches.

    Raises:
        PipelineError: there is no project, or a mistake in `dvc.yaml`.
    """
    with _repo() as repo:
        stages, parents = _chosen(repo)
        outs = {
            Path(out.fs_path).relative_to(repo.root_dir): out.use_cache
            for stage in stages.values()
            for out in stage.outs
        }
        return Pipeline(parents, frozenset(), {}), outs


def _chosen(repo: Any, targets: Sequence[str] = ()) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """Stages by name, and the stages that each depends on; each follows its parents."""
    graph = _graph(repo)
    chosen = [stage for target in targets for stage in repo.stage.collect(target)] if targets else list(graph)
    parents: dict[str, list[str]] = {}
    stages: dict[str, Any] = {}
    while chosen:
        stage = chosen.pop()
        if stage.addressing in stages:
            continue
        # DVC ignores what a frozen stage depends on.
        above = [] if stage.frozen else list(graph.successors(stage))
        stages[stage.addressing] = stage
        parents[stage.addressing] = sorted(other.addressing for other in above)
        chosen += above
    order = graphlib.TopologicalSorter({name: parents[name] for name in sorted(parents)}).static_order()
    return stages, {name: tuple(parents[name]) for name in order}


def outputs(stage: str) -> Outputs | None:
    """The hashes of a stage's outputs in `dvc.lock` as it is now; None if they cannot be read.

    Nothing is locked: `dvc.lock` may be half written while another stage ends.
    """
    try:
        with _repo() as repo:
            (found,) = repo.stage.collect(stage)
            return _outputs(found)
    except PipelineError:
        return None


def cache() -> Path:
    """The folder of DVC's cache.

    Raises:
        PipelineError: there is no project.
    """
    with _repo() as repo:
        return Path(repo.cache.local_cache_dir)


def cache_copies() -> bool:
    """Whether DVC's cache stores outputs a second time: it copies them unless configured to link.

    By default copies share blocks where the file system can do so.
    """
    with _repo() as repo:
        kinds = repo.config["cache"].get("type") or ["reflink", "copy"]
    return kinds[0] in ("reflink", "copy")


def has_git() -> bool:
    """Whether DVC uses git here.

    Raises:
        PipelineError: DVC expects a git repository and there is none, or there is no project.
    """
    with _repo() as repo:
        return not repo.config["core"].get("no_scm", False)


def _graph(repo: Any) -> Any:
    """The stages; edges lead from each to what it depends on.

    Raises:
        ConfigError: `params.yaml` has mistakes, on which DVC itself may crash.
        PipelineError: DVC cannot read the pipeline for another reason.
    """
    from dvc.lock import LockError
    from dvc.utils.strictyaml import YAMLValidationError

    try:
        return repo.index.graph
    except (LockError, YAMLValidationError):  # `dvc.yaml` itself has mistakes
        raise
    except Exception as error:  # of any kind: DVC iterates over what it expects to be a list
        config.load()
        raise PipelineError(f"DVC: {error}") from error


@contextmanager
def _repo() -> Generator[Any]:
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            yield repo
    except LockError as error:
        raise BusyError(f"another DVC process is at work: {error}") from error
    except DvcException as error:
        raise PipelineError(f"DVC: {error}") from error


def _outputs(stage: Any) -> Outputs | None:
    hashes = {str(out): out.hash_info.value for out in stage.outs}
    return hashes if all(hashes.values()) else None


def _outputs_differ(status: list[Any]) -> bool:
    return any(isinstance(entry, dict) and "changed outs" in entry for entry in status)
