"""`dpg ui`: MLflow's pages on the project's store."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from dpg.runtime.errors import UserError

EPILOG = """
Examples:

- `dpg ui`: then open http://127.0.0.1:5000
- `dpg ui --port 5001`: while another one runs
- `dpg ui --host 0.0.0.0`: for other machines too; there is no password

docs/comparing.md compares two experiments step by step.
"""


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of the pages.")] = 5000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Open MLflow on the project's runs, until Ctrl-C.

    The store is `mlflow.db` in the project, or what `MLFLOW_TRACKING_URI` names. If that is a server, open its pages.
    """
    from dpg.tracking.uri import client_uri, database_file, redacted, tracking_uri

    uri = client_uri()
    if uri.startswith(("http://", "https://")):
        typer.echo(f"MLFLOW_TRACKING_URI names a server, whose pages show the runs: {redacted(uri)}")
        return
    database = database_file(uri)
    if database is not None and not database.exists():
        raise UserError(f"there are no runs yet ({redacted(tracking_uri())}): `dvc repro` makes them")
    # One worker is enough for one person, without jobs for evaluations: the pages load three times as fast.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    where = ["--backend-store-uri", uri, "--host", host, "--port", str(port)]
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", *where]
    os.execve(sys.executable, command, os.environ | _readable_packages())


def _readable_packages() -> dict[str, str]:
    """Links that let MLflow read its migrations: `dpg.tracking.store` says why a % in the path prevents that."""
    from dpg.tracking.store import MIGRATIONS

    if "%" not in str(MIGRATIONS):
        return {}
    from tempfile import mkdtemp

    link = Path(mkdtemp(prefix="dpg-ui-")) / "packages"
    link.symlink_to(MIGRATIONS.parents[2])
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(link), os.environ.get("PYTHONPATH"))))}
