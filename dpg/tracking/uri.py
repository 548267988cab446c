"""Where MLflow's store is: its URI, and the parts of it."""

import os
import re
from pathlib import Path

import sqlalchemy
from sqlalchemy import exc

from dpg.runtime import project

EXPERIMENT = "deep-policy-gradients"


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, or SQLite in the project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _sqlite_uri(str(project.root() / "mlflow.db"))


def client_uri() -> str:
    """`tracking_uri()` in the form to open it with.

    MLflow creates the folder of an SQLite URI before it decodes the URI, so that a % or ? in the project's path would
    name another folder. A relative path avoids that.
    """
    path = str(project.root() / "mlflow.db")
    if os.environ.get("MLFLOW_TRACKING_URI") or _sqlite_uri(path).endswith(path):
        return tracking_uri()
    return _sqlite_uri(os.path.relpath(path))


def experiment_name() -> str:
    """`MLFLOW_EXPERIMENT_NAME`, or the default."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT


def redacted(uri: str) -> str:
    """A store's URI without user, password and options."""
    return uri if scheme(uri) in {"", "file", "sqlite"} else uri.replace(login(uri), "", 1).partition("?")[0]


def database_file(uri: str) -> Path | None:
    """The file of an SQLite store; None for other stores."""
    if scheme(uri) != "sqlite":
        return None
    url = sqlalchemy.make_url(uri)
    if url.host:
        raise exc.ArgumentError(
            f"expected three slashes after sqlite:, or four before an absolute path; found host {url.host}"
        )
    name = url.database
    return Path(name) if name and name != ":memory:" else None


def _sqlite_uri(path: str) -> str:
    return f"sqlite:///{path.replace('%', '%25').replace('?', '%3F')}"


def scheme(uri: str) -> str:
    """The scheme of a URI, without a driver."""
    if uri in {"databricks", "databricks-uc", "uc"}:
        return uri
    return (re.match(r"([A-Za-z][A-Za-z0-9.-]*)(\+[^:]*)?:", uri) or ["", ""])[1].lower()


def login(uri: str) -> str:
    """User and password with the @ after them, as written in the URI."""
    found = re.match(r"[A-Za-z0-9+.-]+://(.*@)", uri)
    return found[1] if found else ""
