"""Parameters as `dvc exp run -S` would change them, checked as every run checks them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dpg.runtime import config
from dpg.runtime.errors import UserError
from dpg.runtime.schema import Params


class OverrideError(UserError):
    """An override cannot be read; the message quotes it."""


def read(source: Path, overrides: Sequence[str]) -> Params:
    """The parameters in `source` with overrides; a section that does not exist is made, and reported as a mistake.

    Raises:
        OverrideError: an override is not `key=value`.
        ConfigError: the parameters have mistakes; the message is that of a run.
    """
    raw = config.read(source)
    for key, value in map(_parse, overrides if isinstance(raw, dict) else ()):
        *sections, last = key.split(".")
        inner = raw
        for section in sections:
            if not isinstance(inner.get(section), dict):
                inner[section] = {}
            inner = inner[section]
        inner[last] = value
    return config.parse(raw, source=str(source.name))


def write(path: Path, overrides: Sequence[str]) -> None:
    """Write overrides into a file, in the bytes that DVC would write.

    Raises:
        OverrideError: DVC refuses one, such as the addition of a key that is there.
    """
    # DVC's readers of overrides take half a second to import.
    from dvc.exceptions import InvalidArgumentError
    from dvc.utils.hydra import apply_overrides

    try:
        apply_overrides(path, list(overrides))
    except InvalidArgumentError as error:
        raise OverrideError(f"-S {' '.join(overrides)}: {' '.join(str(error.__cause__).split())}") from error


def _parse(text: str) -> tuple[str, Any]:
    from dvc.utils.hydra import to_hydra_overrides
    from hydra.core.override_parser.types import Override
    from hydra.errors import OverrideParseException

    try:
        (override,) = to_hydra_overrides([text])
    except OverrideParseException:
        raise OverrideError(f"-S {text!r}: must be key=value, such as ppo.lr=1e-4 or 'envs=[Hopper-v4]'") from None
    assert isinstance(override, Override)
    if override.is_sweep_override() or override.is_delete():
        raise OverrideError(f"-S {text!r}: must give one value to one parameter")
    return override.key_or_group, override.value()
