"""What is shown: tables in, figures and numbers out."""

import os
import sys
from contextlib import suppress


def _import_matplotlib() -> None:
    """Import matplotlib whatever MPLBACKEND names: figures are drawn without a backend.

    Matplotlib cannot be imported while it names one that is not installed, such as that of a notebook in another
    environment. One that is installed stays the backend.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib as mpl
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):
            mpl.rcParams["backend"] = backend


_import_matplotlib()
