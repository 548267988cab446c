"""Figures, claims and the page, from the tables of an experiment.

A table, a figure and a claim are one declaration each, found by being in a module of their package:

1. A table: a class in `dpg/tables/<stage>.py` under `@table("stage/file.csv", Section.VALUES, per="state")`, each
   field `Annotated[type, unit, meaning]`. The stage writes it with `dpg.tables.table.write`; dvc.yaml lists the module
   among the stage's `deps`. `python -m dpg.tables.docs --write` renews docs/tables.md.
2. A figure: a `FigureSpec` in a module of `dpg/report/figures/`: name, title, section, tables, `plot`, `caption`, and
   the figures of the paper that it shows. `plot` and `caption` get the part of the experiment that it is drawn for.
3. A claim: `@claim(id, section, statement, rule=, why=, tables=, ...)` in a module of `dpg/report/claims/` over the
   function that decides it for one cell. docs/claims.md gets a section with the same words.

All three read tables as `experiment[RowType]` (`dpg.report.experiment`). Nothing else is edited.
"""

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
