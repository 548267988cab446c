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


class TrackingError(UserError):
    """The tracking store cannot be used: what is wrong, and what to do about it."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(f"{what}\n{todo}")
        self.what, self.todo = what, todo


@contextlib.contextmanager
def explained() -> Generator[None]:
    """Turn any error that the store raises in the block into a `TrackingError` with advice."""
    try:
        yield
    except Exception as error:
        raise explain(error) from error


def explain(error: Exception) -> TrackingError:
    """What is wrong with the store and what to do about it, given the error that it raised."""
    if isinstance(error, TrackingError):
        return error
    uri = tracking_uri()
    what, todo = next(filter(None, (_cause(each, uri) for each in _causes(error))), (without_login(error), elsewhere()))
    return unusable(what, todo)


def without_login(error: BaseException) -> str:
    """The first line of an error's message, without the store's user and password."""
    credentials = login(tracking_uri())
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    for secret in filter(None, (credentials, credentials.removesuffix("@").partition(":")[2])):
        text = text.replace(secret, "")
    return text


def _cause(error: BaseException, uri: str) -> tuple[str, str] | None:
    """What is wrong and what to do, if this error of a chain says so."""
    if isinstance(error, sqlite3.Error):
        return _sqlite_cause(error)
    if isinstance(error, exc.SQLAlchemyError):
        return _database_cause(error, uri)
    if isinstance(error, MlflowException):
        return _server_cause(error) if scheme(uri) in {"http", "https"} else _kind_cause(error, uri)
    if isinstance(error, ModuleNotFoundError):
        return f"its driver is not installed ({error})", f"`python -m pip install {error.name}`, or {elsewhere()}"
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or error}", f"make it writable, or {elsewhere()}"
    return None


def _database_cause(error: exc.SQLAlchemyError, uri: str) -> tuple[str, str] | None:
    if isinstance(error, exc.ArgumentError):
        return f"its URI cannot be read ({without_login(error)})", "correct MLFLOW_TRACKING_URI"
    if isinstance(error, exc.OperationalError) and scheme(uri) != "sqlite":
        return f"the database does not answer ({without_login(error)})", f"start its server, or {elsewhere()}"
    return None  # the driver's own error says more


def _kind_cause(error: MlflowException, uri: str) -> tuple[str, str] | None:
    if isinstance(error, UnsupportedModelRegistryStoreURIException):
        known = "sqlite:///PATH, postgresql://..., mysql://..., mssql://... or http(s)://..."
        return f"MLflow knows no store with the scheme {scheme(uri)!r}", f"set MLFLOW_TRACKING_URI to {known}"
    if scheme(uri) not in {"", "file"}:
        return None
    move = "`mlflow migrate-filestore` converts it to a database, MLFLOW_ALLOW_FILE_STORE=true keeps it"
    return f"MLflow {version('mlflow')} no longer supports file stores", f"{move}; or {elsewhere()}"


def _server_cause(error: MlflowException) -> tuple[str, str]:
    if error.error_code in REFUSED:
        set_them = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return f"the server refuses access ({error.error_code}): the credentials are missing or wrong", set_them
    if error.__cause__ or error.__context__:
        *_, reason = _causes(error)
        return f"no server answers ({without_login(reason)})", f"start the server, or {elsewhere()}"
    return f"the address is not an MLflow server ({without_login(error)})", f"correct the address, or {elsewhere()}"


def _sqlite_cause(error: sqlite3.Error) -> tuple[str, str]:
    code = error.sqlite_errorcode & 0xFF if hasattr(error, "sqlite_errorcode") else None
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return (
            "another program has it locked",
            f"end that program (`fuser FILE` names it) and try again, or {elsewhere()}",
        )
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return f"it is not a database, or a damaged one ({error})", f"move the file away, or {elsewhere()}"
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return str(error), f"make the file and its folder writable, or {elsewhere()}"
    if code == sqlite3.SQLITE_FULL:
        return str(error), f"free disk space, or {elsewhere()}"
    return str(error), f"move the file away, or {elsewhere()}"


def unusable(what: str, todo: str) -> TrackingError:
    """The error for a store that cannot be used for this reason."""
    return TrackingError(f"the MLflow store {redacted(tracking_uri())} cannot be used: {what}", todo)


def elsewhere() -> str:
    """The advice to use another store."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return "unset MLFLOW_TRACKING_URI to track in the project's own mlflow.db"
    return "set MLFLOW_TRACKING_URI to another store"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
