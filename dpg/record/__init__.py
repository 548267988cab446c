"""The published record of an experiment: what others need to check, cite and repeat it.

    python -m dpg.record write ../run docs/record    # from an experiment, finished or not
    python -m dpg.record write                       # renew docs/record from its own tables
    python -m dpg.record check                       # does it agree with what its tables say?
    python -m dpg.record restore ../more             # its results, for a clone that runs what it lacks

A record has two kinds of files. Its sources (`SOURCES`) are copied from the experiment: parameters, `dvc.lock`, all
tables, and the records of the stages' runs. Everything else is derived from them by the report's own code, when it is
written and again when it is checked.
"""

from pathlib import Path

PUBLISHED = Path("docs/record")
SOURCES = ("params.yaml", "dvc.lock", "provenance.json", "tables")
