"""Which stages DVC would run: DVC says so itself, in a folder where nothing can be run.

The folder links to the project's files, has its lock file, reads its cache, and holds the parameters in question. In it
`dvc repro` goes through the pipeline, with a shell that notes the stage whose command it is given and fails; DVC then
leaves out what depends on that stage. What is unchanged, or comes from DVC's run cache, never reaches the shell.
The project is only read.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Generator
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dpg.cli import dag
from dpg.cli.dag import Pipeline, PipelineError

# Its output is the same whatever it reads. It is really run, so that nothing below it counts as stale for its sake.
CONSTANT = "params"
SHELL = f"""#!/bin/sh
[ "$DVC_STAGE" != {CONSTANT} ] || /bin/sh "$@" || exit
echo "$DVC_STAGE" >> "$DPG_STALE"
[ "$DVC_STAGE" = {CONSTANT} ]
"""
# Outputs that the lock file names come from the cache first: DVC is slower at finding out one by one that they can.
COMMANDS = """
from dvc.cli import main
main(["checkout", "--allow-missing", "--quiet"])
raise SystemExit(main(["repro", "--keep-going", "--no-commit"]))
"""
# Files that DVC may write: the folder has its own.
OWN = ("params.yaml", "dvc.yaml", "dvc.lock", ".dvcignore")
APART = (*OWN, ".dvc", ".git")


@contextmanager
def replica(project: Path) -> Generator[Path]:
    """A DVC project as `project` is, but for `params.yaml` and all outputs, which are not there yet.

    Raises:
        PipelineError: there is no DVC project here.
    """
    if not (project / "dvc.yaml").is_file() or not (project / ".dvc").is_dir():
        raise PipelineError(f"{project} is not a DVC project: run from the project's root")
    with TemporaryDirectory(prefix="dpg-plan-") as parent:
        folder = Path(parent).resolve() / "project"
        (folder / ".dvc").mkdir(parents=True)
        settings = {
            "core": [
                "no_scm = true",
                "analytics = false",
                "check_update = false",
                f"site_cache_dir = '{parent}/state'",
            ],
            "cache": [f"dir = '{dag.cache()}'", "type = symlink"],
        }
        lines = [line for section, entries in settings.items() for line in (f"[{section}]", *entries)]
        (folder / ".dvc" / "config").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for name in OWN[1:]:
            if (project / name).is_file():
                shutil.copyfile(project / name, folder / name)
        yield folder


@contextmanager
def asked(project: Path, folder: Path) -> Generator[Callable[[], Pipeline]]:
    """Ask DVC about a replica whose `params.yaml` is in place. What the block gets waits for the answer.

    Stale are the stages that would run, and all that depends on them, though its inputs may come out as they are.

    Raises:
        PipelineError: DVC cannot read the pipeline.
    """
    with chdir(folder):  # where DVC calls stages by their bare names
        pipeline, outputs = dag.outline()
    for path in (path for path, cached in outputs.items() if not cached and (project / path).is_file()):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project / path, folder / path)
    _link(project, folder, outputs, APART)
    shell, log = folder.with_name("shell"), folder.with_name("stale")
    shell.write_text(SHELL, encoding="utf-8")
    shell.chmod(0o700)
    log.touch()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    process = subprocess.Popen(
        [sys.executable, "-c", COMMANDS],
        cwd=folder, env=inherited | {"PATH": path, "SHELL": str(shell), "DPG_STALE": str(log)},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip

    def answer() -> Pipeline:
        _, errors = process.communicate()
        ran = frozenset(log.read_text(encoding="utf-8").split())
        if process.returncode and not ran:
            raise PipelineError(f"DVC: {errors.strip().removeprefix('ERROR: ')}")
        return replace(pipeline, stale=ran | pipeline.below(ran - {CONSTANT}))

    try:
        yield answer
    finally:
        process.kill()
        process.wait()


def _link(source: Path, target: Path, outputs: Collection[Path], apart: Collection[str] = ()) -> None:
    """Link to all that lies in `source` and holds no output; DVC writes into folders that do, so they are made anew."""
    for path in source.iterdir():
        inner = [Path(*output.parts[1:]) for output in outputs if output.parts[0] == path.name]
        if path.name in apart or Path() in inner:
            continue
        if not inner:
            (target / path.name).symlink_to(path)
        elif path.is_dir():
            (target / path.name).mkdir(exist_ok=True)
            _link(path, target / path.name, inner)
