"""Gymnasium's ids, `[namespace/]name[-vN]`, in file names and across versions.

Folders and DVC stages use an id unchanged: a namespace is a folder above its tasks.
"""

import re

# Replaces the slash in file names. No id contains it, so names stay unique; URLs and shells leave it alone.
SLASH = "~"


def file_name(env_id: str) -> str:
    """An id as a part of a file's name."""
    return env_id.replace("/", SLASH)


def family(env_id: str) -> str:
    """An id without its version: Hopper of Hopper-v4."""
    return re.sub(r"-v\d+$", "", env_id)
