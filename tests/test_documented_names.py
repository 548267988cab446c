"""Names on the pages of documentation exist: parameters, code, commands, options, tables, checks, headings.

And the numbers that pages take from the committed default run are those of this run.
"""

import json
import re
from functools import cache
from pathlib import Path

import pytest
import typer
from ruamel.yaml import YAML

from dpg.cli.app import app
from dpg.diagnose.catalog import CHECKS
from dpg.tables.catalog import catalog

ROOT = Path(__file__).parents[1]
# The changelog names what was.
PAGES = [
    Path("README.md"),
    Path("CONTRIBUTING.md"),
    *(page.relative_to(ROOT) for page in sorted(ROOT.glob("docs/*.md"))),
]
pages = pytest.mark.parametrize("page", PAGES, ids=str)

FILES = {
    "py",
    "csv",
    "json",
    "yaml",
    "yml",
    "html",
    "md",
    "npz",
    "lock",
    "db",
    "safetensors",
    "toml",
    "txt",
    "zip",
    "pkl",
    "png",
}
OTHERS = {"reports/curves.csv", "reports/figures/landscape_alignment.csv", "calibrate/calibration.csv"}


def text(page: Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def code(page: Path) -> list[str]:
    """What stands in code, a command or a name each."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text(page), flags=re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text(page), flags=re.DOTALL | re.MULTILINE))
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()] + spans


@cache
def parameters() -> dict:
    """Those of `params.yaml` and of the examples; what a scale has is known by its short name, too."""
    yaml = YAML(typ="safe", pure=True)
    params = yaml.load(ROOT / "params.yaml")
    for example in (ROOT / "examples").glob("*.yaml"):
        params |= yaml.load(example)
    for budgets in params["scales"].values():
        for section, budget in budgets.items():
            params[section] = {**params.get(section, {}), **budget}
    scales = params["scales"]
    return params | {"scales": scales | dict.fromkeys(("<scale>", "*", "mine"), scales["laptop"])}


def is_parameter(name: str, params: dict) -> bool:
    found = params
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            return False
        found = found[part]
    return True


def modules_named(name: str) -> list[str]:
    """The modules of the project with this name, as they are imported."""
    paths = [path for folder in ("dpg", "stages", "benchmarks") for path in (ROOT / folder).rglob(f"{name}.py")]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


def exists(dotted: str) -> bool:
    """Whether this is a module, or a name that a module's source has at its outermost level."""
    whole = ROOT / dotted.replace(".", "/")
    module, name = whole.parent.with_suffix(".py"), whole.name
    if whole.is_dir() or whole.with_suffix(".py").is_file() or not module.is_file():
        return whole.exists() or whole.with_suffix(".py").is_file()
    pattern = rf"^(?:def|class) {name}\b|^{name}\b.*="
    return re.search(pattern, module.read_text(encoding="utf-8"), flags=re.MULTILINE) is not None


@pages
def test_parameters_and_code_that_a_page_names_exist(page):
    params, missing = parameters(), []
    for span in code(page):
        overridden = re.findall(r"-S '?([a-z][\w.]*)=", span)
        missing += [name for name in overridden if not is_parameter(name, params)]
        if not re.fullmatch(r"[\w<>*]+(\.[\w<>*]+)+(: ?.*|=.*|\(.*\))?", span):
            continue
        name = re.split(r"[:=(]", span)[0]
        first, *rest = name.split(".")
        if rest[-1] in FILES or is_parameter(name, params):
            continue
        if first == "dpg":
            known = exists(name)
        elif modules := modules_named(first):
            known = any(exists(".".join([module, *rest])) for module in modules)
        else:
            known = first not in params
        if not known:
            missing.append(name)
    assert not missing


def unknown_options(spans: list[str]) -> list[str]:
    """What calls a command of `dpg` that does not exist, or one with an option that it does not have."""
    commands = typer.main.get_command(app).commands
    wrong = []
    for span in spans:
        found = re.search(r"(?:^|\$ |\s)dpg ([a-z]+)\b([^|#(]*)", span)
        if not found or span.startswith("from "):
            continue
        name, rest = found.groups()
        if name not in commands:
            wrong.append(span)
            continue
        known = {option for each in commands[name].params for option in each.opts}
        options = [word for word in rest.split() if re.fullmatch(r"--[a-z][a-z-]*|-[a-zA-Z]", word)]
        wrong += [f"{span}: {option}" for option in options if option not in known]
    return wrong


@pages
def test_commands_and_options_of_dpg_that_a_page_names_exist(page):
    assert not unknown_options(code(page))


def test_examples_in_help_name_what_is_there():
    epilogs = [command.epilog for command in typer.main.get_command(app).commands.values()]
    examples = [example for epilog in epilogs for example in re.findall(r"`([^`]*)`", epilog)]
    assert len(examples) > 30 and not unknown_options(examples)
    pages = re.findall(r"docs/\w+\.md", "".join(epilogs))
    assert pages and not [page for page in pages if not (ROOT / page).exists()]


@pages
def test_modules_that_a_page_runs_exist(page):
    named = re.findall(r"python -m ((?:dpg|benchmarks|stages)[\w.]*)", "\n".join(code(page)))
    assert not [name for name in named if not exists(name)]


@pages
def test_tables_that_a_page_names_are_declared(page):
    files = {name.partition("/")[2] for name in catalog()} | {Path(name).name for name in OTHERS}
    wrong = []
    for name in re.findall(r"`([\w/.-]+\.csv)`", text(page)):
        folder, _, file = name.rpartition("/")
        known = {*catalog(), *OTHERS} if folder else files
        if "<" not in name and (name if folder else file) not in known:
            wrong.append(name)
    assert not wrong


@pages
def test_links_lead_to_headings(page):
    def anchors(target: Path) -> set[str]:
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    links = re.findall(r"\]\((?!http)([^)#\s]*)#([^)]+)\)", text(page))
    here = (ROOT / page).parent
    assert not [link for link, anchor in links if anchor not in anchors(here / link if link else ROOT / page)]


def test_every_page_is_in_the_list_of_the_readme():
    assert not [page for page in PAGES if page.parts[0] == "docs" and f"]({page})" not in text(Path("README.md"))]


def test_the_readme_has_the_departures_that_can_change_a_conclusion():
    section = text(Path("README.md")).partition("## Departures from the paper")[2].partition("\n## ")[0]
    named = re.findall(r"^\| ([^|]+?) \|", section, re.MULTILINE)
    assert len(named) > 2
    assert not [name for name in named if f"| {name} |" not in text(Path("docs/departures.md"))]


def test_every_command_of_dpg_is_in_the_list_of_the_readme():
    assert not [
        name for name in typer.main.get_command(app).commands if f"| `dpg {name}" not in text(Path("README.md"))
    ]


def test_every_wing_is_in_the_table_of_layers():
    wings = {path.parent.name for path in (ROOT / "dpg").glob("*/__init__.py")}
    assert not {wing for wing in wings if f"`dpg/{wing}/`" not in text(Path("docs/architecture.md"))}


def test_every_check_of_a_diagnosis_is_documented():
    rows = re.findall(r"^\| `([\w -]+)` \| [^|]*\? \|", text(Path("docs/diagnosing.md")), flags=re.MULTILINE)
    assert rows == [check.name for check in CHECKS]


def test_variables_of_the_environment_are_documented():
    """Those that a person may set are on the page of operations, and the page names no others."""
    named = set(re.findall(r"DPG_[A-Z]+(?:_[A-Z]+)*", "".join(map(text, PAGES))))
    read = {
        name
        for path in (ROOT / "dpg").rglob("*.py")
        for name in re.findall(r"\bDPG_[A-Z]+(?:_[A-Z]+)*", path.read_text(encoding="utf-8"))
    }
    assert named <= read
    assert {name for name in read if name != "DPG_STALE"} <= named


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("docs/agents.md", "{final_return:.0f} [{final_return_low:.0f}, {final_return_high:.0f}]"),
        ("docs/comparing.md", "{final_return:.0f} [{final_return_low:.0f}, {final_return_high:.0f}]"),
        ("docs/values.md", "{final_return:.0f} [{final_return_low:.0f}, {final_return_high:.0f}]"),
        ("docs/values.md", "{ablation[ratio]:.2f} [{ablation[ratio_low]:.2f}, {ablation[ratio_high]:.2f}]"),
        ("docs/gradients.md", "| {gradient[pairwise_cosine_at_T_last]:.2f} ["),
        ("docs/landscapes.md", "| {update_gain[N2000][relative_reward_first]:.1f} ["),
        ("docs/tutorial.md", "90         {gradient[pairwise_cosine_at_T_last]:.3f}"),
    ],
)
def test_pages_of_the_default_run_have_its_numbers(page, shown):
    """Else the run that git keeps was renewed, and the page was not."""
    metrics = json.loads((ROOT / "reports" / "metrics.json").read_text(encoding="utf-8"))["Hopper-v4"]["ppo"]
    assert shown.format(**metrics) in text(Path(page))
