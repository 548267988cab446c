"""Check `params.yaml`, before DVC touches any output: every other stage waits for this one.

DVC deletes a stage's outputs before it runs the stage's command. `data/params.txt` never changes, and a file of
`data/algorithms` with the code of its algorithm, so that running this stage makes nothing else stale; when it fails, no
other stage has begun and all results are still there.

Stages that cannot measure anything under these parameters are listed as well. That is no error: the others run.
"""

import sys
from pathlib import Path

from dpg.envs.examine import check_tasks
from dpg.envs.make import time_limit
from dpg.runtime import config, own_code
from dpg.runtime.outputs import write_atomic
from dpg.streams import measurable
from stages.common import entrypoint


def main() -> None:
    """Check the parameters, and every task."""
    params = config.load()
    check_tasks(params)
    limits = {env: time_limit(env, params.modules) for env in params.envs}
    for line in measurable.messages(params, limits):
        print(f"note: {line}", file=sys.stderr)
    for path, text in own_code.records(params).items():
        write_atomic(text, path)
    write_atomic("params.yaml is valid\n", Path("data/params.txt"))


if __name__ == "__main__":
    entrypoint.run(main)
