"""`params.yaml` as typed, frozen, validated objects.

All parameters come through `load`. It checks the whole file, so that a mistake anywhere stops a run before any work,
with one line for each mistake: the dotted name, the value, and what is allowed.
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import ValidationError, create_model
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from dpg.runtime import registry
from dpg.runtime.errors import UserError
from dpg.runtime.modules import ModuleError
from dpg.runtime.registry import AlgorithmError
from dpg.runtime.schema import Params, Regimes


class ConfigError(UserError):
    """`params.yaml` cannot be used; the message says what to change."""


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check `path`.

    Raises:
        ConfigError: one line for each mistake, with the dotted name, the value and what is allowed.
    """
    return parse(read(path), source=str(path))


def read(path: str | Path) -> Any:
    """What `path` says, unchecked.

    Raises:
        ConfigError: it cannot be read, or is not YAML.
    """
    try:
        return YAML(typ="safe", pure=True).load(Path(path))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; run from the project's root") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {_yaml_problem(error)}") from None


def _yaml_problem(error: YAMLError | UnicodeDecodeError) -> str:
    """What is wrong with the text, on one line, and where."""
    if not (isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark):
        return " ".join(str(error).split())
    problem = error.problem.partition(" with value ")[0]  # of a key that is there twice
    return f"{problem} (line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1})"


def parse(raw: object, source: str = "parameters") -> Params:
    """Check a mapping as `load` checks a file."""
    try:
        schema = _schema(raw)
    except (ModuleError, AlgorithmError) as error:
        raise mistakes(source, [str(error)]) from error
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        others = _other_algorithms(raw)
        raise mistakes(source, [_explain(details, schema, others) for details in error.errors()]) from None


def _schema(raw: object) -> type[Params]:
    """`Params` with what a file can say: the names of its scales and of all algorithms, and the algorithms' blocks."""
    if not isinstance(raw, dict):
        return Params
    regimes, modules = _section(raw, "regimes"), _strings(raw.get("modules"))
    names = registry.known(modules)
    used = {*_strings(raw.get("algorithms")), *_strings([regimes.get("algorithm")]), *_strings(list(raw))}
    blocks = {name: registry.check_unique(name, modules).algorithm.config_type for name in names if name in used}
    name: Any = Literal[tuple(names)]
    metadata: list[Any] = Params.model_fields["algorithms"].metadata
    fields: dict[str, Any] = {
        "algorithms": Annotated[tuple[name, ...], *metadata],
        "regimes": create_model("Regimes", __base__=Regimes, algorithm=(name, ...)),
        **blocks,
    }
    if scales := _strings(list(_section(raw, "scales"))):
        fields["scale"] = Literal[tuple(scales)]
    required: dict[str, Any] = {key: (kind, ...) for key, kind in fields.items()}
    return create_model("Params", __base__=Params, **required)


def _section(raw: dict[Any, Any], name: str) -> dict[Any, Any]:
    found = raw.get(name)
    return found if isinstance(found, dict) else {}


def _strings(values: object) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list | tuple) else []


def mistakes(source: str, lines: Sequence[str]) -> ConfigError:
    """The error that says what is wrong with a file, a line each."""
    count = f"{len(lines)} mistake{'s' if len(lines) > 1 else ''}"
    return ConfigError("\n  ".join([f"{source} has {count}:", *lines]))


def _other_algorithms(raw: object) -> str:
    """Where an algorithm that is not known would be looked for, and which modules of the user's have none."""
    modules = raw.get("modules") if isinstance(raw, dict) else None
    without = registry.without_algorithms(_strings(modules))
    found = f"; there is none in {', '.join(without)}" if without else ""
    return f"the module of another one goes into `modules`{found}"


def _explain(error: ErrorDetails, schema: type[Params], others: str) -> str:
    """One mistake in a line: name, value, and what is allowed."""
    location = [str(part) for part in error["loc"] if not str(part).endswith("]")]
    name = ".".join(location)
    value: object = list(error["input"]) if isinstance(error["input"], tuple) else error["input"]
    context = error.get("ctx", {})
    if error["type"] == "missing":
        block = len(location) == 1 and name not in Params.model_fields
        return f"{name}: is missing{': an algorithm that is named needs its block' if block else ''}"
    if error["type"] == "mismatch":
        return f"{f'{name}.' if name else ''}{context['name']} = {context['value']}: {context['allowed']}"
    written = registry.short(value) if isinstance(value, dict) else repr(value)
    return f"{name or 'params'} = {written}: {_allowed(error, location, value, schema, others)}"


# Parameters by their former names.
RENAMED = {"common.env_modules": "modules"}
# What belongs where a list or a section was given.
_SINGLE = {
    "int_type": "one whole number",
    "float_type": "one number",
    "bool_type": "true or false",
    "string_type": "one word",
}


def _allowed(error: ErrorDetails, location: list[str], value: object, schema: type[Params], others: str) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return _unknown(location, value, schema, others)
        case "literal_error":
            return _not_among(context["expected"], location, value, others)
        case "model_type" | "dict_type":
            keys = ", ".join(_fields_at(location, schema))
            return f"must be a section of {keys}" if keys else "must be a section"
        case "too_long" | "too_short":
            number = context.get("max_length") or f"at least {context['min_length']}"
            return f"must have {number} item{'' if context.get('min_length') == 1 else 's'}"
        case kind if kind in _SINGLE and isinstance(value, list | dict):
            return f"must be {_SINGLE[kind]}, not a {'list' if isinstance(value, list) else 'section'}"
        case _:
            return _lower_first(error["msg"])


def _unknown(location: list[str], value: object, schema: type[Params], others: str) -> str:
    """An unknown key: a misspelt one, one that was renamed, or the block of an algorithm that is not known."""
    if renamed := RENAMED.get(".".join(location)):
        return f"is now called {renamed}"
    siblings = _fields_at(location[:-1], schema)
    block = len(location) == 1 and isinstance(value, dict)
    what = f"no such section, and no algorithm ({others})" if block else "no such parameter"
    close = difflib.get_close_matches(location[-1], siblings, n=1)
    hint = f"did you mean {'.'.join([*location[:-1], close[0]])}? " if close else ""
    return f"{what}; {hint}allowed: {', '.join(siblings)}"


def _not_among(expected: str, location: list[str], value: object, others: str) -> str:
    close = registry.suggestion(value, re.findall(r"'([^']*)'", expected)) if isinstance(value, str) else ""
    of_algorithms = location[0] == "algorithms" or location == ["regimes", "algorithm"]
    return f"{close}must be one of {expected}{f' ({others})' if of_algorithms else ''}"


def _lower_first(text: str) -> str:
    text = text.removeprefix("Input ")
    return text[:1].lower() + text[1:]


def _fields_at(location: list[str], schema: type[Params]) -> list[str]:
    """The keys that a section may have; those of a mapping, such as scales, are any."""
    found: Any = schema
    for part in location:
        found = get_args(found)[1] if get_origin(found) is dict else found.model_fields[part].annotation
    return [] if get_origin(found) is dict else list(found.model_fields)
