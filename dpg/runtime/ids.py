"""Gymnasium's ids, `[namespace/]name[-vN]`, where they name files and where tasks are compared across versions.

Folders and DVC stages are named by an id as it stands: a namespace is a folder above its tasks.
"""

import re

# Stands for the slash in names of files. No id has it, so that names tell ids apart; URLs and shells leave it alone.
SLASH = "~"


def file_name(env_id: str) -> str:
    """An id as a part of a file's name."""
    return env_id.replace("/", SLASH)


def family(env_id: str) -> str:
    """An id without its version: Hopper of Hopper-v4."""
    return re.sub(r"-v\d+$", "", env_id)
