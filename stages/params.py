"""Check `params.yaml`, before DVC touches any output: every other stage waits for this one.

DVC deletes a stage's outputs before it runs the stage's command. This stage's own output never changes, so its
running makes nothing else stale; when it fails, no other stage has begun and all results are still there.
"""

from pathlib import Path

from dpg.envs.make import EnvError, make_vector
from dpg.runtime import config
from dpg.runtime.config import ConfigError
from stages import edge


def main() -> None:
    """Check the parameters, and that every task can be made."""
    params = config.load()
    for index, env in enumerate(params.envs):
        try:
            make_vector(env, 1, params.common.env_modules).close()
        except EnvError as error:
            raise ConfigError(f"params.yaml has 1 mistake:\n  envs.{index} = {env!r}: {error}") from error
    target = Path("data/params.txt")
    target.parent.mkdir(exist_ok=True)
    target.write_text("params.yaml is valid\n")


if __name__ == "__main__":
    edge.run(main)
