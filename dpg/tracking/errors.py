"""What is wrong with MLflow's store, and what to do about it."""

import contextlib
import os
import sqlite3
from collections.abc import Generator, Iterator
from importlib.metadata import version

from mlflow.exceptions import MlflowException
from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException
from sqlalchemy import exc

from dpg.runtime.errors import UserError
from dpg.tracking.uri import login, redacted, scheme, tracking_uri

REFUSED = ("UNAUTHENTICATED", "PERMISSION_DENIED")
DAMAGED = ("it is not a database, or a damaged one", "move the file away")
LOCKED = ("another program has it locked", "end that program (`fuser FILE` names it) and try again")
# What is wrong and what to do, by SQLite's primary result code; without the former, the error itself says it.
SQLITE = (
    dict.fromkeys((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED), LOCKED)
    | dict.fromkeys((sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT), DAMAGED)
    | dict.fromkeys(
        (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
        (None, "make the file and its folder writable"),
    )
    | {sqlite3.SQLITE_FULL: (None, "free disk space")}
)


class TrackingError(UserError):
    """The tracking store cannot be used: what is wrong, and what to do about it."""

    def __init__(self, what: str, todo: str) -> None:
        self.what = f"the MLflow store {redacted(tracking_uri())} cannot be used: {what}"
        self.todo = todo
        super().__init__(f"{self.what}\n{todo}")


@contextlib.contextmanager
def explained() -> Generator[None]:
    """Turn any error that the store raises in the block into a `TrackingError` with advice."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        found = (_cause(each, scheme(tracking_uri())) for each in _causes(error))
        raise TrackingError(*next(filter(None, found), (without_login(error), elsewhere()))) from error


def without_login(error: BaseException) -> str:
    """The first line of an error's message, without the store's user and password."""
    credentials = login(tracking_uri())
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    for secret in filter(None, (credentials, credentials.removesuffix("@").partition(":")[2])):
        text = text.replace(secret, "")
    return text


def _cause(error: BaseException, kind: str) -> tuple[str, str] | None:  # noqa: PLR0911
    """What is wrong and what to do, if this error of a chain says so; `kind` is the scheme of the store's URI."""
    match error:
        case sqlite3.Error():
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            what, todo = SQLITE.get(code, (None, "move the file away"))
            return what or str(error), f"{todo}, or {elsewhere()}"
        case exc.ArgumentError():
            return f"its URI cannot be read ({without_login(error)})", "correct MLFLOW_TRACKING_URI"
        case exc.OperationalError() if kind != "sqlite":  # there the driver's own error says more
            return f"the database does not answer ({without_login(error)})", f"start its server, or {elsewhere()}"
        case MlflowException() if kind in {"http", "https"}:
            return _server_cause(error)
        case UnsupportedModelRegistryStoreURIException():
            known = "sqlite:///PATH, postgresql://..., mysql://..., mssql://... or http(s)://..."
            return f"MLflow knows no store with the scheme {kind!r}", f"set MLFLOW_TRACKING_URI to {known}"
        case MlflowException() if kind in {"", "file"}:
            move = "`mlflow migrate-filestore` converts it to a database, MLFLOW_ALLOW_FILE_STORE=true keeps it"
            return f"MLflow {version('mlflow')} no longer supports file stores", f"{move}; or {elsewhere()}"
        case ModuleNotFoundError():
            return f"its driver is not installed ({error})", f"`python -m pip install {error.name}`, or {elsewhere()}"
        case OSError():
            return f"{error.filename or 'a file'}: {error.strerror or error}", f"make it writable, or {elsewhere()}"
        case _:
            return None


def _server_cause(error: MlflowException) -> tuple[str, str]:
    if error.error_code in REFUSED:
        set_them = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return f"the server refuses access ({error.error_code}): the credentials are missing or wrong", set_them
    if error.__cause__ or error.__context__:
        *_, reason = _causes(error)
        return f"no server answers ({without_login(reason)})", f"start the server, or {elsewhere()}"
    return f"the address is not an MLflow server ({without_login(error)})", f"correct the address, or {elsewhere()}"


def elsewhere() -> str:
    """The advice to use another store."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return "unset MLFLOW_TRACKING_URI to track in the project's own mlflow.db"
    return "set MLFLOW_TRACKING_URI to another store"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
