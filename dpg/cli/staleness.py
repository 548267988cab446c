"""Which stages DVC would run, and which it would take from its lock file or its run cache.

The pipeline is resolved by DVC itself, under the parameters in question, in a shadow of the project: `dvc.yaml`,
`dvc.lock` and the files that stages depend on, in a temporary folder, with the project's cache to read from. The graph
is then walked as `dvc repro` walks it. A stage is cached when its command, dependencies and parameters are those of its
entry in `dvc.lock`, or of an entry of the run cache, and its outputs are still in the cache; their hashes are what the
stages below depend on. Nothing of the project is written.
"""

import json
import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dpg.cli.dag import PipelineError

# Whatever they read, what they write is the same: their running makes nothing else stale.
CONSTANT_OUTPUTS = frozenset({"params"})
PIPELINE = ("dvc.yaml", "dvc.lock", ".dvcignore")


@contextmanager
def shadow(project: Path) -> Generator[Path]:
    """A folder with the pipeline's definition, and DVC's settings such that it reads the project's cache.

    Raises:
        PipelineError: there is no DVC project here.
    """
    from dvc.config import Config

    if not (project / "dvc.yaml").is_file() or not (project / ".dvc").is_dir():
        raise PipelineError(f"{project} is not a DVC project: run from the project's root")
    settings = Config(dvc_dir=str(project / ".dvc"))["cache"]
    cache = Path(settings.get("dir") or project / ".dvc" / "cache").resolve()
    with TemporaryDirectory() as folder:
        target = Path(folder)
        (target / ".dvc" / "tmp").mkdir(parents=True)
        lines = ["[core]", "no_scm = true", "analytics = false", f"site_cache_dir = {target / '.dvc' / 'tmp'}"]
        (target / ".dvc" / "config").write_text(
            "\n".join([*lines, "[cache]", f"dir = {target / '.dvc' / 'cache'}\n"]), encoding="utf-8"
        )
        (target / ".dvc" / "project-cache").write_text(str(cache), encoding="utf-8")
        for name in PIPELINE:
            if (project / name).is_file():
                shutil.copyfile(project / name, target / name)
        yield target


def cache_copies(project: Path) -> bool:
    """Whether outputs lie in DVC's cache a second time: it copies them, unless it is set to link.

    The default is to let the file system share the blocks of copies where it can (reflink).
    """
    from dvc.config import Config

    kinds = Config(dvc_dir=str(project / ".dvc"))["cache"].get("type") or ["reflink", "copy"]
    return kinds[0] in ("reflink", "copy")


def stale_stages(project: Path, folder: Path) -> dict[str, bool]:
    """Every stage of the pipeline in the shadow `folder`, in an order of execution, and whether it would run.

    `params.yaml` must lie in the shadow; what else the stages depend on is copied from the project.

    Raises:
        PipelineError: DVC cannot read the pipeline.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from networkx import topological_sort

    try:
        with Repo(str(folder)) as repo:
            graph = repo.index.graph
            order = list(reversed(list(topological_sort(graph))))
            _copy_dependencies(order, project, folder)
            walk = _Walk(Cache(Path((folder / ".dvc" / "project-cache").read_text(encoding="utf-8"))), _lock(folder))
            for stage in order:
                walk.visit(stage)
            return {stage.name: stage.name in walk.stale for stage in order if stage.name}
    except DvcException as error:
        raise PipelineError(f"DVC cannot read the pipeline: {error}") from error


def _lock(folder: Path) -> Mapping[str, Any]:
    from dvc.utils.serialize import load_yaml

    path = folder / "dvc.lock"
    return load_yaml(str(path)).get("stages", {}) if path.is_file() else {}


def _copy_dependencies(stages: list[Any], project: Path, folder: Path) -> None:
    """Copy what stages depend on and no stage makes; parameters are there."""
    made = [Path(out.fs_path) for stage in stages for out in stage.outs]
    wanted = {Path(dep.fs_path) for stage in stages for dep in stage.deps}
    for path in wanted:
        if path.exists() or any(path == out or path in out.parents or out in path.parents for out in made):
            continue
        source = project / path.relative_to(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, path, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        elif source.is_file():
            shutil.copy(source, path)


@dataclass(frozen=True)
class Cache:
    """DVC's cache, read as files: through its own objects it would check, and on a mismatch remove."""

    root: Path

    def path(self, digest: str) -> Path:
        """Where the object with a digest lies."""
        return self.root / "files" / "md5" / digest[:2] / digest[2:]

    def files(self, digest: str) -> dict[str, str] | None:
        """Digests by relative path of what a digest stands for ("" for a file); None where something is missing."""
        if not self.path(digest).is_file():
            return None
        if not digest.endswith(".dir"):
            return {"": digest}
        entries = {
            entry["relpath"]: entry["md5"] for entry in json.loads(self.path(digest).read_text(encoding="utf-8"))
        }
        return entries if all(self.path(inner).is_file() for inner in entries.values()) else None

    def runs(self, key: str) -> Iterator[Mapping[str, Any]]:
        """What earlier runs of a stage with this key left, the newest first."""
        from dvc.utils.serialize import load_yaml

        folder = self.root / "runs" / key[:2] / key
        paths = folder.iterdir() if folder.is_dir() else ()
        for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
            yield load_yaml(str(path))


@dataclass
class _Walk:
    """A walk down the graph: the stages that would run, and the digests of outputs that are known, by path."""

    cache: Cache
    lock: Mapping[str, Any]
    stale: set[str] = field(default_factory=set)
    outputs: dict[Path, str | None] = field(default_factory=dict)

    def visit(self, stage: Any) -> None:
        """Decide about a stage whose upstream stages have been visited."""
        known = self._entry(stage)
        if known is None:
            self.stale.add(stage.name)
            known = self.lock.get(stage.name) if stage.name in CONSTANT_OUTPUTS else None
        digests = {out["path"]: out.get("md5") for out in (known or {}).get("outs", ())}
        self.outputs |= {Path(out.fs_path): digests.get(out.def_path) for out in stage.outs}

    def _entry(self, stage: Any) -> Mapping[str, Any] | None:
        """The entry that the stage's outputs can be taken from; None where it must run."""
        from dvc.stage.cache import _get_cache_hash  # pyright: ignore[reportPrivateUsage]
        from dvc.stage.serialize import to_single_stage_lockfile

        if stage.always_changed or stage.is_callback or not self._fill(stage):
            return None
        key = _get_cache_hash(to_single_stage_lockfile(stage), key=True)
        locked = self.lock.get(stage.name)
        if locked and _get_cache_hash(dict(locked), key=True) == key and self._held(stage, locked):
            return locked
        return next((entry for entry in self.cache.runs(key) if self._held(stage, entry)), None)

    def _held(self, stage: Any, entry: Mapping[str, Any]) -> bool:
        """Whether the outputs of an entry can be had: all that DVC keeps in its cache are there."""
        kept = {out.def_path for out in stage.outs if out.use_cache}
        return all(out["path"] not in kept or self.cache.files(out.get("md5", "")) is not None for out in entry["outs"])

    def _fill(self, stage: Any) -> bool:
        """Give the stage's dependencies their present hashes; False where one is not known yet, or not there."""
        from dvc.dependency import ParamsDependency
        from dvc.dependency.base import DependencyDoesNotExistError
        from dvc.dependency.param import MissingParamsError
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.meta import Meta

        for dep in stage.deps:
            path = Path(dep.fs_path)
            if isinstance(dep, ParamsDependency) or not self._made(path):
                try:
                    dep.save()
                except (DependencyDoesNotExistError, MissingParamsError):
                    return False
                continue
            digest = self._digest(path)
            if digest is None:
                return False
            dep.hash_info, dep.meta = HashInfo("md5", digest), Meta()
        return True

    def _made(self, path: Path) -> bool:
        return any(path == out or path in out.parents or out in path.parents for out in self.outputs)

    def _digest(self, path: Path) -> str | None:
        """The digest of an output, or of a folder of several; None where one of them is not known."""
        if path in self.outputs:
            return self.outputs[path]
        files: dict[str, str] = {}
        for out, digest in self.outputs.items():
            if path in out.parents:
                inner = self.cache.files(digest) if digest else None
                if inner is None:
                    return None
                files |= {(out.relative_to(path) / name).as_posix(): value for name, value in inner.items()}
        return _tree_digest(files) if files else None


def _tree_digest(files: Mapping[str, str]) -> str:
    """The digest that DVC gives a folder."""
    entries = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    return md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"
