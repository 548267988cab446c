"""`docs/tables.md`, made from the declarations: `python -m dpg.tables.docs --write`; `--check` compares the page."""

import inspect
import sys
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from dpg.tables.catalog import catalog
from dpg.tables.table import AgentSnapshot, Column, Section, columns_of, table_of

PAGE = Path("docs/tables.md")


def page() -> str:
    """The whole page."""
    environment = Environment(
        loader=PackageLoader("dpg.tables", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    sections = [
        ("Checks" if section is Section.FURTHER else section, list(tables))
        for section, tables in groupby(map(table_of, catalog().values()), lambda table: table.section)
    ]
    common = columns_of(AgentSnapshot)
    template = environment.get_template("tables.md.j2")
    return template.render(sections=sections, common=common, columns=_columns, getdoc=inspect.getdoc)


def _columns(columns: list[Column]) -> str:
    """The columns as a Markdown table; neighbours with one meaning share a line."""
    lines = ["| column | unit | meaning |", "|---|---|---|"]
    for (unit, meaning), group in groupby(columns, lambda column: (column.unit, column.meaning)):
        names = ", ".join(f"`{column.name}`" for column in group)
        lines.append(f"| {names} | {unit} | {_escaped(meaning)} |")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("V*", "V\\*")


def main(arguments: list[str]) -> int:
    """Print the page, `--write` it, or `--check` that the page is as the declarations have it."""
    if arguments == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
    elif arguments == ["--check"]:
        if PAGE.read_text(encoding="utf-8") != page():
            print(f"{PAGE} is out of date: run `python -m dpg.tables.docs --write`", file=sys.stderr)
            return 1
    else:
        print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
