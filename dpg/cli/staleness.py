"""Which stages DVC would run, asked of DVC itself in a folder where nothing can run.

`dvc repro --dry` does not apply what the run cache holds. Behind a stage whose outputs would come from there, it judges
the others by the present outputs: it says the same whether they would be restored or run. And it knows no overrides
but those in the project's own `params.yaml`. So the pipeline is reproduced in a temporary folder, which links to the
project's files, has its lock file, reads its cache, and holds the parameters in question. Its shell notes the stage
that it is asked to run and fails; DVC then leaves out what depends on that stage. The project is only read.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dpg.cli import dag, overrides
from dpg.cli.dag import Pipeline, PipelineError

# Its output never changes. It really runs, so that its dependents are not stale because of it.
CONSTANT = "params"
SHELL = f"""#!/bin/sh
[ "$DVC_STAGE" != {CONSTANT} ] || /bin/sh "$@" || exit
echo "$DVC_STAGE" >> "$DPG_STALE"
[ "$DVC_STAGE" = {CONSTANT} ]
"""
# Outputs in the lock file come from the cache first: `repro` alone would restore them one by one.
COMMANDS = """
from dvc.cli import main
main(["checkout", "--allow-missing", "--quiet"])
raise SystemExit(main(["repro", "--keep-going", "--no-commit"]))
"""
CONFIG = """
[core]
no_scm = true
analytics = false
check_update = false
site_cache_dir = '{state}'
[cache]
dir = '{cache}'
type = symlink
"""
COPIED = ("params.yaml", "dvc.yaml", "dvc.lock", ".dvcignore")  # DVC may write them


@contextmanager
def asked(project: Path, changes: Sequence[str]) -> Generator[Callable[[], Pipeline]]:
    """Ask DVC about a project under overrides; the function that the block gets waits for the answer.

    Stale are the stages that would run, and all that depend on them, although their inputs may not change.

    Raises:
        PipelineError: there is no DVC project, or DVC cannot read the pipeline.
    """
    if not (project / "dvc.yaml").is_file() or not (project / ".dvc").is_dir():
        raise PipelineError(f"{project} is not a DVC project: run from the project's root")
    with TemporaryDirectory(prefix="dpg-plan-") as parent:
        folder, log = Path(parent).resolve() / "project", Path(parent, "stale")
        pipeline = _replicate(project, changes, folder)
        log.touch()
        process = _reproduce(folder, log)

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


def _replicate(project: Path, changes: Sequence[str], folder: Path) -> Pipeline:
    """Make the folder: files that DVC writes are copied, all others linked; outputs are left to DVC and its cache."""
    (folder / ".dvc").mkdir(parents=True)
    config = CONFIG.format(state=folder.with_name("state"), cache=dag.settings().cache)
    (folder / ".dvc" / "config").write_text(config, encoding="utf-8")
    for name in COPIED:
        if (project / name).is_file():
            shutil.copyfile(project / name, folder / name)
    if changes:
        overrides.write(folder / "params.yaml", changes)
    with chdir(folder):  # where DVC calls stages by their bare names
        pipeline = dag.read(with_status=False)
    for path in (path for path, cached in pipeline.outputs.items() if not cached and (project / path).is_file()):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project / path, folder / path)
    _link(project, folder, pipeline.outputs, apart=(*COPIED, ".dvc", ".git"))
    return pipeline


def _link(source: Path, target: Path, outputs: Collection[Path], apart: Collection[str] = ()) -> None:
    """Link to everything in `source` that contains no output; DVC writes into folders that do, so they are made."""
    for path in source.iterdir():
        inner = [Path(*output.parts[1:]) for output in outputs if output.parts[0] == path.name]
        if path.name in apart or Path() in inner:
            continue
        if not inner:
            (target / path.name).symlink_to(path)
        elif path.is_dir():
            (target / path.name).mkdir(exist_ok=True)
            _link(path, target / path.name, inner)


def _reproduce(folder: Path, log: Path) -> subprocess.Popen[str]:
    shell = folder.with_name("shell")
    shell.write_text(SHELL, encoding="utf-8")
    shell.chmod(0o700)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")}
    return subprocess.Popen(
        [sys.executable, "-c", COMMANDS],
        cwd=folder, env=inherited | {"PATH": dag.executable_path(), "SHELL": str(shell), "DPG_STALE": str(log)},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
