"""`params.yaml` as typed, frozen, validated objects.

`load` is the one door. It checks the whole file, so that a mistake anywhere stops a run before any work, with
one line for each mistake: the dotted name, the value, and what is allowed.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dpg.runtime.errors import UserError
from dpg.runtime.schema import Params


class ConfigError(UserError):
    """`params.yaml` cannot be used; the message says what to change."""


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check `path`.

    Raises:
        ConfigError: one line for each mistake, with the dotted name, the value and what is allowed.
    """
    try:
        raw: object = YAML(typ="safe", pure=True).load(Path(path))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; run from the project's root") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    return parse(raw, source=str(path))


def parse(raw: object, source: str = "parameters") -> Params:
    """Check a mapping as `load` checks a file."""
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise mistakes(source, [_explain(details) for details in error.errors()]) from None


def mistakes(source: str, lines: Sequence[str]) -> ConfigError:
    """The error that says what is wrong with a file, a line each."""
    count = f"{len(lines)} mistake{'s' if len(lines) > 1 else ''}"
    return ConfigError("\n  ".join([f"{source} has {count}:", *lines]))


def _explain(error: ErrorDetails) -> str:
    """One mistake in a line: name, value, and what is allowed."""
    location = [str(part) for part in error["loc"] if not str(part).endswith("]")]
    name = ".".join(location)
    value: object = list(error["input"]) if isinstance(error["input"], tuple) else error["input"]
    context = error.get("ctx", {})
    if error["type"] == "missing":
        return f"{name}: is missing"
    if error["type"] == "mismatch":
        return f"{f'{name}.' if name else ''}{context['name']} = {context['value']}: {context['allowed']}"
    return f"{name or 'params'} = {value!r}: {_allowed(error, location, value)}"


# Parameters by their former names.
RENAMED = {"common.env_modules": "common.modules"}
# What belongs where a list or a section was given.
_SINGLE = {
    "int_type": "one whole number",
    "float_type": "one number",
    "bool_type": "true or false",
    "string_type": "one word",
}


def _allowed(error: ErrorDetails, location: list[str], value: object) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return _unknown(location)
        case "literal_error":
            return f"must be one of {context['expected']}"
        case "model_type":
            return f"must be a section of {', '.join(_fields_at(location))}"
        case "too_long":
            return f"must have {context['max_length']} items"
        case kind if kind in _SINGLE and isinstance(value, list | dict):
            return f"must be {_SINGLE[kind]}, not a {'list' if isinstance(value, list) else 'section'}"
        case _:
            return _lower_first(error["msg"])


def _unknown(location: list[str]) -> str:
    if renamed := RENAMED.get(".".join(location)):
        return f"is now called {renamed}"
    siblings = _fields_at(location[:-1])
    close = difflib.get_close_matches(location[-1], siblings, n=1)
    hint = f"did you mean {'.'.join([*location[:-1], close[0]])}? " if close else ""
    return f"no such parameter; {hint}allowed: {', '.join(siblings)}"


def _lower_first(text: str) -> str:
    text = text.removeprefix("Input ")
    return text[:1].lower() + text[1:]


def _fields_at(location: list[str]) -> list[str]:
    model: type[BaseModel] = Params
    for part in location:
        annotation = model.model_fields[part].annotation
        assert isinstance(annotation, type) and issubclass(annotation, BaseModel)
        model = annotation
    return list(model.model_fields)
