"""The MLflow store: where it is, opening it, and what is wrong with it, with the advice that fits the cause.

A database is looked at before MLflow opens it: MLflow tries for minutes to open what it cannot. `dpg doctor` looks in
the same way, and finds what would stop a run.
"""

import contextlib
import os
import re
import shlex
import sqlite3
from collections.abc import Generator, Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# A server that is down is to be noticed in seconds, before hours are spent.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

import mlflow.store
import sqlalchemy
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils as database_utils
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException
from sqlalchemy import exc

from dpg.runtime import project
from dpg.runtime.errors import UserError

EXPERIMENT = "deep-policy-gradients"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # the UI shows training runs, not traces
TIMEOUT_S = 20  # seconds for a database that another program is writing to
MIGRATIONS = Path(mlflow.store.__file__).parent / "db_migrations"
REFUSED = ("UNAUTHENTICATED", "PERMISSION_DENIED")


def _alembic_config(db_url: str, alembic_dir: str | None = None) -> Config:
    folder = alembic_dir or str(MIGRATIONS)
    config = Config(os.path.join(folder, "alembic.ini"))  # noqa: PTH118
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", db_url.replace("%", "%%"))
    return config


# A % begins an interpolation there, which MLflow minds in the URI alone: it could open no database from an environment
# whose path has one, such as that of a project whose path has.
if "%" in str(MIGRATIONS):
    database_utils._get_alembic_config = _alembic_config  # pyright: ignore[reportPrivateUsage]


class TrackingError(UserError):
    """The tracking store cannot be used: what is wrong, and what to do."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(f"{what}\n{todo}")
        self.what, self.todo = what, todo


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, or SQLite in the project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _sqlite_uri(str(project.root() / "mlflow.db"))


def client_uri() -> str:
    """`tracking_uri()` as MLflow opens it.

    MLflow makes the folder that an SQLite URI names before it decodes the URI: beside a project with % or ? in its path
    it would make another. The path from here has no part of that.
    """
    path = str(project.root() / "mlflow.db")
    if os.environ.get("MLFLOW_TRACKING_URI") or _sqlite_uri(path).endswith(path):
        return tracking_uri()
    return _sqlite_uri(os.path.relpath(path))


def experiment_name() -> str:
    """`MLFLOW_EXPERIMENT_NAME`, or the laboratory's."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT


def shown(uri: str) -> str:
    """A store's URI without user, password and options."""
    return uri if _kind(uri) in {"", "file", "sqlite"} else uri.replace(_login(uri), "", 1).partition("?")[0]


def database_file(uri: str) -> Path | None:
    """The file of an SQLite store; None for other stores."""
    if _kind(uri) != "sqlite":
        return None
    url = sqlalchemy.make_url(uri)
    if url.host:
        raise exc.ArgumentError(
            f"after sqlite: come three slashes, and four before an absolute path; found host {url.host}"
        )
    name = url.database
    return Path(name) if name and name != ":memory:" else None


def open_store() -> tuple[MlflowClient, str]:
    """A client of the store, and the id of the experiment there, which is made where it is missing."""
    uri = client_uri()
    local = _kind(uri) == "sqlite"
    # Several stages that start on a missing database would crash in its migration: one at a time.
    with FileLock(project.root() / "mlflow.db.lock") if local else contextlib.nullcontext():
        _look_at_database(uri, make=True)
        # For the experiment that MLflow makes of its own accord; by default it pastes the current folder into SQL.
        os.environ.setdefault("_MLFLOW_SERVER_ARTIFACT_ROOT", (project.root() / "mlartifacts").as_uri())
        client = MlflowClient(tracking_uri=uri)
        known = _experiment(client)
        if known is not None:
            return client, known
        location = (project.root() / "mlartifacts").as_uri() if local else None
        return client, str(client.create_experiment(experiment_name(), artifact_location=location, tags=KIND))


def look() -> str:
    """What is there to be said of the store that the next run will use; it is looked at, never made.

    Raises:
        TrackingError: no run could use it.
    """
    uri, told = client_uri(), shown(tracking_uri())
    with explained():
        path = database_file(uri)
        if path is not None and not path.exists():
            _check_writable(next(parent for parent in path.absolute().parents if parent.exists()))
            return f"{told}, which the first run will make"
        if _kind(uri) in DATABASE_ENGINES:
            number = _look_at_database(uri)
            return (
                f"{told}, {number} runs"
                if number is not None
                else f"{told}, in which the first run will make its tables"
            )
        if _kind(uri) in {"", "file"} and os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in {"true", "1"}:
            return f"{told} (not tried)"
        _experiment(MlflowClient(tracking_uri=uri))
        return f"{told} answers"


@contextlib.contextmanager
def explained() -> Generator[None]:
    """Whatever the store raises in the block becomes a `TrackingError` with advice."""
    try:
        yield
    except Exception as error:
        raise explain(error) from error


def explain(error: Exception) -> TrackingError:
    """What is wrong with the store, and what to do about it, from what it raised."""
    if isinstance(error, TrackingError):
        return error
    uri = tracking_uri()
    what, todo = next(filter(None, (_cause(each, uri) for each in _chain(error))), (without_login(error), _elsewhere()))
    return _unusable(what, todo)


def without_login(error: BaseException) -> str:
    """The first line of an error's message, without the store's user and password."""
    login = _login(tracking_uri())
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    for secret in filter(None, (login, login.removesuffix("@").partition(":")[2])):
        text = text.replace(secret, "")
    return text


def _cause(error: BaseException, uri: str) -> tuple[str, str] | None:
    """What is wrong and what to do, where this error of a chain tells it."""
    if isinstance(error, sqlite3.Error):
        return _sqlite_cause(error)
    if isinstance(error, exc.SQLAlchemyError):
        return _database_cause(error, uri)
    if isinstance(error, MlflowException):
        return _server_cause(error) if _kind(uri) in {"http", "https"} else _kind_cause(error, uri)
    if isinstance(error, ModuleNotFoundError):
        return f"its driver is not installed ({error})", f"`python -m pip install {error.name}`, or {_elsewhere()}"
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or error}", f"make it writable, or {_elsewhere()}"
    return None


def _database_cause(error: exc.SQLAlchemyError, uri: str) -> tuple[str, str] | None:
    if isinstance(error, exc.ArgumentError):
        return f"its URI cannot be read ({without_login(error)})", "correct MLFLOW_TRACKING_URI"
    if isinstance(error, exc.OperationalError) and _kind(uri) != "sqlite":
        return f"the database does not answer ({without_login(error)})", f"start its server, or {_elsewhere()}"
    return None  # what the driver raised says more


def _kind_cause(error: MlflowException, uri: str) -> tuple[str, str] | None:
    if isinstance(error, UnsupportedModelRegistryStoreURIException):
        known = "sqlite:///PATH, postgresql://..., mysql://..., mssql://... or http(s)://..."
        return f"MLflow knows no store of the kind {_kind(uri)!r}", f"set MLFLOW_TRACKING_URI to {known}"
    if _kind(uri) not in {"", "file"}:
        return None
    move = "`mlflow migrate-filestore` makes it a database, MLFLOW_ALLOW_FILE_STORE=true goes on with it"
    return f"MLflow {version('mlflow')} takes no store of files any more", f"{move}; or {_elsewhere()}"


def _server_cause(error: MlflowException) -> tuple[str, str]:
    if error.error_code in REFUSED:
        set_them = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return f"the server refuses access ({error.error_code}): the credentials are missing or wrong", set_them
    if error.__cause__ or error.__context__:
        *_, reason = _chain(error)
        return f"no server answers ({without_login(reason)})", f"start the server, or {_elsewhere()}"
    return f"what answers there is no MLflow server ({without_login(error)})", f"correct the address, or {_elsewhere()}"


def _sqlite_cause(error: sqlite3.Error) -> tuple[str, str]:
    code = error.sqlite_errorcode & 0xFF if hasattr(error, "sqlite_errorcode") else None
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return (
            "another program keeps it locked",
            f"end that program (`fuser FILE` names it) and try again, or {_elsewhere()}",
        )
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return f"it is no database, or a damaged one ({error})", f"move the file away, or {_elsewhere()}"
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return str(error), f"make the file and its folder writable, or {_elsewhere()}"
    if code == sqlite3.SQLITE_FULL:
        return str(error), f"make room on its disk, or {_elsewhere()}"
    return str(error), f"move the file away, or {_elsewhere()}"


def _look_at_database(uri: str, *, make: bool = False) -> int | None:
    """How many runs a database has; None if it has no tables yet. Other stores are passed by.

    A missing SQLite file is made where asked for, empty.

    Raises:
        TrackingError: its schema is another version's, or the experiment was deleted.
    """
    if _kind(uri) not in DATABASE_ENGINES:
        return None
    url, path = sqlalchemy.make_url(uri), database_file(uri)
    if _kind(uri) == "sqlite":
        if path is None:
            return None
        if path.is_dir():
            raise _unusable("it is a folder", f"name a file in it, or {_elsewhere()}")
        if make:
            path.absolute().parent.mkdir(parents=True, exist_ok=True)
        _check_writable(path.absolute().parent)
        options = {"mode": "rwc" if make else "rw", "uri": "true", "timeout": str(TIMEOUT_S)}
        url = url.set(database=f"file:{quote(str(path.absolute()))}", query=options)
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        if path is not None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # as every write begins; nothing is written
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision is None:
            return None
        _check_revision(revision, uri)
        named = sqlalchemy.text(
            "SELECT experiment_id FROM experiments WHERE name = :name AND lifecycle_stage = 'deleted'"
        )
        deleted = connection.execute(named, {"name": experiment_name()}).scalar()
        if deleted is not None:
            raise _was_deleted(str(deleted))
        return connection.execute(sqlalchemy.text("SELECT count(*) FROM runs")).scalar()


def _check_revision(revision: str, uri: str) -> None:
    """The schema is to be this MLflow's."""
    history = ScriptDirectory(str(MIGRATIONS))
    if revision == history.get_current_head():
        return
    ours = f"MLflow {version('mlflow')}"
    if revision in {script.revision for script in history.walk_revisions()}:
        upgrade = f"back the database up, then `mlflow db upgrade {shlex.quote(shown(uri))}`"
        raise _unusable(f"its schema is older than {ours} takes ({revision})", upgrade)
    raise _unusable(
        f"{ours} does not know its schema ({revision}): a newer MLflow made it", f"install that, or {_elsewhere()}"
    )


def _experiment(client: MlflowClient) -> str | None:
    """The id of the experiment; None where it is to be made."""
    found = client.get_experiment_by_name(experiment_name())
    if found is not None and found.lifecycle_stage == "deleted":
        raise _was_deleted(found.experiment_id)
    return None if found is None else str(found.experiment_id)


def _was_deleted(experiment_id: str) -> TrackingError:
    restore = f"`mlflow experiments restore --experiment-id {experiment_id}`"
    return _unusable(
        f"the experiment {experiment_name()!r} was deleted", f"{restore}, or set MLFLOW_EXPERIMENT_NAME to another name"
    )


def _check_writable(folder: Path) -> None:
    if not folder.is_dir():
        raise _unusable(f"{folder} is no folder", f"remove it, or {_elsewhere()}")
    if not os.access(folder, os.W_OK):
        raise _unusable(f"nothing can be written in {folder}", f"make it writable, or {_elsewhere()}")


def _unusable(what: str, todo: str) -> TrackingError:
    return TrackingError(f"the MLflow store {shown(tracking_uri())} cannot be used: {what}", todo)


def _elsewhere() -> str:
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return "unset MLFLOW_TRACKING_URI to track in the project's own mlflow.db"
    return "set MLFLOW_TRACKING_URI to another store"


def _sqlite_uri(path: str) -> str:
    return f"sqlite:///{path.replace('%', '%25').replace('?', '%3F')}"


def _kind(uri: str) -> str:
    """The scheme of a URI, without a driver."""
    if uri in {"databricks", "databricks-uc", "uc"}:
        return uri
    return (re.match(r"([A-Za-z][A-Za-z0-9.-]*)(\+[^:]*)?:", uri) or ["", ""])[1].lower()


def _login(uri: str) -> str:
    """User and password with the @ after them, as they stand in the URI."""
    found = re.match(r"[A-Za-z0-9+.-]+://(.*@)", uri)
    return found[1] if found else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
