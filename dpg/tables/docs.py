"""`docs/tables.md`, made from the declarations: `python -m dpg.tables.docs --write`; `--check` compares the page."""

import inspect
import sys
from itertools import groupby
from pathlib import Path

from dpg.tables.catalog import catalog
from dpg.tables.table import AgentSnapshot, Column, Section, columns_of, table_of

PAGE = Path("docs/tables.md")

_INTRODUCTION = """\
# Tables

<!-- Made by `python -m dpg.tables.docs --write` from the declarations in `dpg/tables`. -->

Every measurement ends in a tidy CSV table: one observation per row, floats at full precision, blank where there is no
number. Tables are in `data/tables/<stage>/<env>/<algorithm>/`, or in `data/tables/<stage>/<env>/` where a stage
measures a task as a whole (`regimes`). All figures are drawn from them. Each row begins with what it belongs to:
"""

_CONVENTIONS = """\
Tables that have means over agents lack the column `agent`.

Sizes are in **pairs**: one pair is one environment step. Episode returns are raw and undiscounted, in the task's
reward units. `low` and `high` are the ends of an interval at `statistics.confidence` (95 %): at either end the wider of
expanded bootstrap percentiles and Student's t, over the independent units that the column names.

Where a stage cannot measure something (agents without a value net, returns that a time limit cuts off, training runs of
`ablation` or `regimes` that diverge), `not_measured.txt` is next to its tables: one reason per line, with what is
needed. The tables then lack those rows, or all rows, and the report and the claims repeat the reason. Where everything
is measured, the file is absent.
"""

_CLAIMS = """\
## `reports/claims.json`: one entry per claim

| key | meaning |
|---|---|
| `id`, `claim`, `rule`, `why`, `tables` | as in [claims.md](claims.md) |
| `verdict` | `supported`, `contradicted`, `inconclusive` or `not measured` |
| `quantity`, `effect`, `low`, `high`, `side`, `threshold` | the effect that decides it with its interval, and the rule's threshold |
| `reason` | why it is not supported; what is missing where it is not measured |
| `note` | what a reader should know in addition to the verdict; it decides nothing |
| `findings` | every task and algorithm: `where`, `verdict`, `reason`, `caveat`, `note`, and `parts` with effects and `sizes` |
"""  # noqa: E501 - rows of a table


def page() -> str:
    """The whole page."""
    common = _columns(columns_of(AgentSnapshot))
    parts = [_INTRODUCTION, common, _CONVENTIONS]
    for section, rows in groupby(catalog().values(), lambda row: table_of(row).section):
        parts += [f"# {section if section is not Section.FURTHER else 'Checks'}\n", *map(_table, rows)]
    return "\n".join([*parts, _CLAIMS])


def _table(row: type) -> str:
    table = table_of(row)
    common = {each.name for each in columns_of(AgentSnapshot)}
    own = [column for column in table.columns if column.name not in common]
    return f"## `{table.name}`: one row per {table.per}\n\n{inspect.getdoc(row)}\n\n{_columns(own)}"


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
