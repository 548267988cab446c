"""Opening MLflow's store.

A database is inspected before MLflow opens it, since MLflow retries for minutes what it cannot open. `dpg doctor`
inspects it in the same way.
"""

import contextlib
import os
import shlex
from collections.abc import Generator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import mlflow.store
import sqlalchemy
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.store.db import utils as database_utils
from mlflow.store.db.db_types import DATABASE_ENGINES

from dpg.runtime import project
from dpg.tracking.errors import TrackingError, elsewhere, explained
from dpg.tracking.uri import client_uri, database_file, experiment_name, redacted, scheme, tracking_uri

KIND = {"mlflow.experimentKind": "custom_model_development"}  # the UI shows training runs, not traces
TIMEOUT_S = 20  # for a database that another program is writing to
ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"
MIGRATIONS = Path(mlflow.store.__file__).parent / "db_migrations"


def _alembic_config(db_url: str, alembic_dir: str | None = None) -> Config:
    folder = alembic_dir or str(MIGRATIONS)
    config = Config(os.path.join(folder, "alembic.ini"))  # noqa: PTH118
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", db_url.replace("%", "%%"))
    return config


# Alembic's configuration interpolates %, which MLflow escapes in the URI only: with a % in the environment's path (such
# as that of a project whose path has one) it could not open any database.
if "%" in str(MIGRATIONS):
    database_utils._get_alembic_config = _alembic_config  # pyright: ignore[reportPrivateUsage]


def open_store() -> tuple[MlflowClient, str]:
    """A client of the store, and the id of the experiment, which is created if missing."""
    uri = client_uri()
    local = scheme(uri) == "sqlite"
    # Stages that start together on a missing database would crash in its migration: one at a time.
    with FileLock(project.root() / "mlflow.db.lock") if local else contextlib.nullcontext():
        _inspect_database(uri, make=True)
        with _artifacts_in_project():
            client = MlflowClient(tracking_uri=uri)
        known = _experiment(client)
        if known is not None:
            return client, known
        location = (project.root() / "mlartifacts").as_uri() if local else None
        return client, str(client.create_experiment(experiment_name(), artifact_location=location, tags=KIND))


@contextlib.contextmanager
def _artifacts_in_project() -> Generator[None]:
    """In the block, experiments that a new store itself creates get a location; else the current folder, put into SQL.

    The variable goes again: MLflow takes a process that has it for a server, which may not reach artifacts on others.
    """
    if ARTIFACT_ROOT in os.environ:
        yield
        return
    os.environ[ARTIFACT_ROOT] = (project.root() / "mlartifacts").as_uri()
    try:
        yield
    finally:
        del os.environ[ARTIFACT_ROOT]


def inspect_store() -> str:
    """Describe the store that the next run will use, without creating it.

    Raises:
        TrackingError: the store cannot be used.
    """
    uri, name = client_uri(), redacted(tracking_uri())
    with explained():
        path = database_file(uri)
        if path is not None and not path.exists():
            _check_writable(next(parent for parent in path.absolute().parents if parent.exists()))
            return f"{name}, which the first run will create"
        number = _inspect_database(uri)
        if number is None and scheme(uri) in DATABASE_ENGINES:
            return f"{name}, in which the first run will create its tables"
        if scheme(uri) in {"", "file"} and os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in {"true", "1"}:
            return f"{name} (not tried)"
        _experiment(MlflowClient(tracking_uri=uri))
        return f"{name} answers" if number is None else f"{name}, {number} runs"


def _inspect_database(uri: str, *, make: bool = False) -> int | None:
    """The number of runs in a database; None if it has no tables yet, or if the store is no database.

    `make` creates a missing SQLite file.

    Raises:
        TrackingError: its schema is of another MLflow version.
    """
    if scheme(uri) not in DATABASE_ENGINES:
        return None
    url, path = sqlalchemy.make_url(uri), database_file(uri)
    if scheme(uri) == "sqlite":
        if path is None:
            return None
        if path.is_dir():
            raise TrackingError("it is a folder", f"name a file in it, or {elsewhere()}")
        if make:
            path.absolute().parent.mkdir(parents=True, exist_ok=True)
        _check_writable(path.absolute().parent)
        options = {"mode": "rwc" if make else "rw", "uri": "true", "timeout": str(TIMEOUT_S)}
        url = url.set(database=f"file:{quote(str(path.absolute()))}", query=options)
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        if path is not None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # as every write begins, but nothing is written
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision is None:
            return None
        _check_revision(revision, uri)
        return connection.execute(sqlalchemy.text("SELECT count(*) FROM runs")).scalar()


def _check_revision(revision: str, uri: str) -> None:
    """Check that the schema is that of the installed MLflow."""
    history = ScriptDirectory(str(MIGRATIONS))
    if revision == history.get_current_head():
        return
    ours = f"MLflow {version('mlflow')}"
    if revision in {script.revision for script in history.walk_revisions()}:
        upgrade = f"back the database up, then `mlflow db upgrade {shlex.quote(redacted(uri))}`"
        raise TrackingError(f"its schema ({revision}) is too old for {ours}", upgrade)
    raise TrackingError(
        f"{ours} does not know its schema ({revision}), which a newer MLflow made",
        f"install that version, or {elsewhere()}",
    )


def _experiment(client: MlflowClient) -> str | None:
    """The id of the experiment; None if it does not exist."""
    found = client.get_experiment_by_name(experiment_name())
    if found is None:
        return None
    if found.lifecycle_stage == "deleted":
        restore = f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
        raise TrackingError(
            f"the experiment {experiment_name()!r} was deleted",
            f"{restore}, or set MLFLOW_EXPERIMENT_NAME to another name",
        )
    return str(found.experiment_id)


def _check_writable(folder: Path) -> None:
    if not folder.is_dir():
        raise TrackingError(f"{folder} is not a folder", f"remove it, or {elsewhere()}")
    if not os.access(folder, os.W_OK):
        raise TrackingError(f"{folder} is not writable", f"make it writable, or {elsewhere()}")
