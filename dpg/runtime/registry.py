"""Algorithms by name. How one is written: `dpg.learning.algorithm`.

The algorithm called `my_ppo` is found

1. in `dpg/algorithms/my_ppo.py`, by being there;
2. in the modules that `modules` names, which are installed or next to `params.yaml`;
3. by an entry point `my_ppo = "my_package.my_module:ALGORITHM"` of the group `dpg.algorithms` of an installed package.

Modules are imported when one of their algorithms is asked for.
"""

import difflib
import pkgutil
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

from dpg.runtime import modules as own
from dpg.runtime.errors import UserError
from dpg.runtime.schema import AlgorithmConfig, Params

BUILT_IN = "dpg.algorithms"  # the package, and the group of entry points
MARKERS = ".,ov^<>12348spP*hH+xXDd|_"  # matplotlib's


class AlgorithmError(UserError):
    """There is no such algorithm, or it cannot be used; the message says what to do."""


def _is_config_type(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, AlgorithmConfig)


def _are_dashes(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) % 2 == 0 and all(isinstance(x, int | float) and x > 0 for x in value)


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) is not None


# Each field of an algorithm's description: a check of its value, and what is allowed.
FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_matches(r"[A-Za-z]\w{,63}"), "up to 64 letters, digits and _"),
    "label": (_matches(r".*\S.*"), "text on one line"),
    "config_type": (_is_config_type, f"a subclass of {AlgorithmConfig.__module__}.{AlgorithmConfig.__qualname__}"),
    "color": (lambda value: value is None or _matches("#[0-9A-Fa-f]{6}")(value), "None or #rrggbb"),
    "marker": (_matches(f"[{re.escape(MARKERS)}]"), f"one of {MARKERS}"),
    "dashes": (_are_dashes, "positive lengths, on and off in turn, such as (5.0, 1.5)"),
}


@dataclass(frozen=True, kw_only=True)
class AlgorithmInfo:
    """What is known of an algorithm without learning anything.

    `name` is that in `params.yaml`, in folders and in DVC's stages; `label` that in figures. `config_type` has the
    parameters of its block. A `color` of None, and the rest of how its lines look, are chosen by the figures.
    """

    name: str
    label: str
    config_type: type[AlgorithmConfig]
    color: str | None = None
    marker: str = "D"
    dashes: tuple[float, ...] = (1.5, 1.5)  # on, off, ...; empty: solid

    def __post_init__(self) -> None:
        if self.name in Params.model_fields or hasattr(Params, str(self.name)):
            raise ValueError(f"an algorithm cannot be called {self.name!r}: the parameters use that name")
        for field, (is_right, allowed) in FIELDS.items():
            if not is_right(value := getattr(self, field)):
                raise ValueError(f"an algorithm's {field} must be {allowed}, not {short(value)}")

    def check(self, config: AlgorithmConfig) -> None:
        """Refuse a configuration that belongs to another algorithm, a subclass of this one's included.

        Raises:
            AlgorithmError: it is not this algorithm's.
        """
        if type(config) is not self.config_type:
            found, expected = (f"{each.__module__}.{each.__qualname__}" for each in (type(config), self.config_type))
            raise AlgorithmError(f"a configuration of {self.name} must be a {expected}, not a {found}")


@dataclass(frozen=True)
class Registration:
    """An algorithm, and the module that it comes from."""

    algorithm: AlgorithmInfo
    module: str
    source: str  # as messages call it

    @property
    def built_in(self) -> bool:
        """Whether it is one of the project's own."""
        return self.module.startswith(f"{BUILT_IN}.")


def find(name: str, modules: Sequence[str] = ()) -> AlgorithmInfo:
    """The algorithm called `name`, where `modules` are those that `modules` names.

    Raises:
        AlgorithmError: there is none, several sources offer one, or its module cannot be used.
    """
    return locate(name, modules).algorithm


def locate(name: str, modules: Sequence[str] = ()) -> Registration:
    """As `find`, with its module. The built-in ones are found without a look at any other module."""
    return _installed(_built_in(name)) if name in built_in() else check_unique(name, modules)


def check_unique(name: str, modules: Sequence[str] = ()) -> Registration:
    """As `locate`, but the name of a built-in algorithm is refused where another source offers it, too."""
    entries = [_built_in(name)] if name in built_in() else []
    entries += entry_points(group=BUILT_IN, name=name)
    offers = [_installed(entry) for entry in entries]
    offers += [
        Registration(algorithm, module, f"the module {module}")
        for module, algorithm in _in_modules(modules)
        if algorithm.name == name
    ]
    match list({id(each.algorithm): each for each in reversed(offers)}.values())[
        ::-1
    ]:  # each once, by its first source
        case [one]:
            return one
        case []:
            names = known(modules)
            hint = f"{suggestion(name, names)}known: {', '.join(names)}; another one's module goes into `modules`"
            raise AlgorithmError(f"there is no algorithm {name!r}; {hint}")
        case several:
            sources = " and ".join(each.source for each in several)
            raise AlgorithmError(f"{sources} both offer an algorithm {name!r}: rename one, or leave one out")


def built_in() -> list[str]:
    """The names of the project's own algorithms, which are not imported."""
    spec = find_spec(BUILT_IN)
    assert spec is not None and spec.submodule_search_locations is not None
    return sorted(module.name for module in pkgutil.iter_modules(spec.submodule_search_locations))


def known(modules: Sequence[str] = ()) -> list[str]:
    """The names of all algorithms. Of those, the ones in `modules` are imported.

    Raises:
        ModuleError: one of `modules` cannot be imported.
    """
    installed = (entry.name for entry in entry_points(group=BUILT_IN))
    named = (algorithm.name for _, algorithm in _in_modules(modules))
    return list(dict.fromkeys([*built_in(), *sorted(installed), *named]))


def needed_by(name: str, modules: Sequence[str]) -> tuple[str, ...]:
    """The user's own modules that an algorithm's cells depend on: its own, and those of `modules` that register tasks.

    Raises:
        AlgorithmError: as `find`.
        ModuleError: one of `modules` cannot be imported.
    """
    found = locate(name, modules)
    other_algorithms = {module for module, _ in _in_modules(modules) if not own.registers_tasks(module)}
    needed = [module for module in modules if module == found.module or module not in other_algorithms]
    return tuple(dict.fromkeys([*needed, *([] if found.built_in else [found.module])]))


def without_algorithms(modules: Sequence[str]) -> list[str]:
    """Those of `modules` that contain no algorithm.

    Raises:
        ModuleError: one of `modules` cannot be imported.
    """
    holding = {module for module, _ in _in_modules(modules)}
    return [module for module in modules if module not in holding]


def suggestion(name: str, names: Sequence[str]) -> str:
    """`did you mean ppo? ` where a name is close to one of `names`."""
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}? " if close else ""


def short(value: object) -> str:
    """A value in a message: an algorithm by its name, anything else by the beginning of how Python writes it."""
    if isinstance(value, AlgorithmInfo):
        return f"the algorithm {value.name!r}"
    return textwrap.shorten(repr(value), 60, placeholder="...")


def _built_in(name: str) -> EntryPoint:
    return EntryPoint(name, f"{BUILT_IN}.{name}:ALGORITHM", BUILT_IN)


def _installed(entry: Any) -> Registration:  # an EntryPoint of the standard library, or of its backport where loaded
    source = f"the package {entry.dist.name} ({entry.value})" if entry.dist else entry.value
    try:
        algorithm: object = entry.load()
    except (Exception, SystemExit) as error:  # it runs code of its own
        raise AlgorithmError(f"{source} cannot be imported: {own.cause(error)}") from error
    if not isinstance(algorithm, AlgorithmInfo) or algorithm.name != entry.name:
        raise AlgorithmError(f"{source} must be the algorithm {entry.name!r}, not {short(algorithm)}")
    return Registration(algorithm, entry.module, source)


def _in_modules(modules: Sequence[str]) -> list[tuple[str, AlgorithmInfo]]:
    """The algorithms among the values of modules."""
    return [
        (name, value)
        for name, module in zip(modules, own.load(modules), strict=True)
        for value in vars(module).values()
        if isinstance(value, AlgorithmInfo)
    ]
