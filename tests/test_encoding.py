"""Text files are UTF-8 on every machine: whoever reads, writes or pipes text says so, whatever the locale is."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def names_no_encoding(call: ast.Call) -> bool:
    """Whether a call reads or writes text in the encoding of the locale."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in given:
        return False
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in {"open", "fdopen"}:
        modes = [
            ast.literal_eval(value) for value in (*call.args, given.get("mode")) if isinstance(value, ast.Constant)
        ]
        binary = any(isinstance(mode, str) and re.fullmatch("[rwxa+]*b[rwxa+]*", mode) for mode in modes)
        return not binary and ast.unparse(function) != "os.open"
    opens_pipes = any(
        ast.unparse(given[option]) == "True" for option in ("text", "universal_newlines") if option in given
    )
    return opens_pipes or name in {"read_text", "write_text"}


@pytest.mark.parametrize("folder", ["dpg", "stages", "benchmarks", "tests"])
def test_whoever_reads_or_writes_text_names_its_encoding(folder):
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)[:100]}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and names_no_encoding(node)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("path.read_text()", True),
        ("path.write_text(text)", True),
        ("open(name)", True),
        ("path.open('w')", True),
        ("subprocess.run(command, text=True)", True),
        ("path.open('rb')", False),
        ("os.open(name, os.O_RDWR)", False),
        ("path.read_text(encoding='utf-8')", False),
        ("subprocess.run(command)", False),
    ],
)
def test_the_check_tells_text_from_bytes(code, found):
    (call,) = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    assert names_no_encoding(call) == found
