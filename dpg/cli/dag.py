"""The pipeline as DVC sees it: its stages by address, their graph, and which of them are stale."""

import graphlib
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dpg.runtime import config
from dpg.runtime.errors import UserError


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
        changed: stages whose present outputs differ from those in `dvc.lock`.
        outputs: the outputs of all stages, and whether DVC caches them.
    """

    parents: Mapping[str, tuple[str, ...]]
    stale: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    outputs: Mapping[Path, bool] = field(default_factory=dict)

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


class DvcSettings(NamedTuple):
    """DVC's settings here.

    Attributes:
        cache: the folder of its cache.
        cache_copies: the cache stores outputs a second time. Copies share blocks where the file system can do so.
        git: DVC uses git.
    """

    cache: Path
    cache_copies: bool
    git: bool


def read(targets: Sequence[str] = (), *, with_status: bool = True) -> Pipeline:
    """The pipeline of the current directory's project, or of `targets` and all that they depend on.

    Without its status no stage is marked as stale or changed, which is faster.

    Raises:
        PipelineError: there is no project, no such target, or a mistake in `dvc.yaml`.
        ConfigError: there is a mistake in `params.yaml`.
        BusyError: another DVC process is at work.
    """
    with _repo() as repo:
        stages, parents = _chosen(repo, targets)
        status: dict[str, list[Any]] = {}
        if with_status:
            status = repo.status(targets=list(targets) or None, with_deps=bool(targets))
        outs = [out for stage in stages.values() for out in stage.outs]
        return Pipeline(
            parents,
            stale=frozenset(status) & frozenset(stages),
            changed=frozenset(name for name, entries in status.items() if any("changed outs" in e for e in entries)),
            outputs={Path(out.fs_path).relative_to(repo.root_dir): out.use_cache for out in outs},
        )


def _chosen(repo: Any, targets: Sequence[str]) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
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


def executable_path() -> str:
    """`PATH` with this interpreter first: stages call `python`, whether or not its environment is activated."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def locked(stage: str) -> list[Any] | None:
    """A stage's outputs with their hashes as `dvc.lock` has them now; None if they cannot be read.

    Nothing is locked: the file may be half written while another stage ends.
    """
    try:
        return YAML(typ="safe").load(Path("dvc.lock"))["stages"][stage]["outs"]
    except (OSError, YAMLError, KeyError, TypeError):
        return None


def settings() -> DvcSettings:
    """DVC's settings.

    Raises:
        PipelineError: there is no project, or DVC expects a git repository and there is none.
    """
    with _repo() as repo:
        kinds = repo.config["cache"].get("type") or ["reflink", "copy"]
        git = not repo.config["core"].get("no_scm", False)
        return DvcSettings(Path(repo.cache.local_cache_dir), kinds[0] in ("reflink", "copy"), git)


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
