"""All declared tables, found in the modules of this package."""

import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from dpg.tables.table import Section, is_table, table_of


def declared(package: str, is_one: Callable[[object], bool]) -> list[Any]:
    """What the modules of a package declare, in the order of their names, each declaration once."""
    names = sorted(module.name for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}."))
    found = [value for name in names for value in vars(import_module(name)).values() if is_one(value)]
    return list({id(value): value for value in found}.values())


@cache
def catalog() -> dict[str, type]:
    """The row type of every table by the table's name, `stage/file`, by section."""
    rows = declared("dpg.tables", is_table)
    rows.sort(key=lambda row: list(Section).index(table_of(row).section))
    return {table_of(row).name: row for row in rows}
