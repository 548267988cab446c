"""The page holds what it should, says what is missing, and needs nothing beside itself."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from dpg.report import style
from dpg.report.claims import decisions
from dpg.report.claims.verdicts import Verdict
from dpg.report.experiment import distinct
from dpg.report.figures.catalog import instances
from dpg.report.page import images, paper, records, render
from dpg.runtime import config
from dpg.tables.training import History
from dpg.tables.value import PredictionError
from tests.report.conftest import ENV, make_experiment

CHECKS = pd.DataFrame(
    {
        "name": ["gradient", "gamma dropped"],
        "truth": [1.0, 1.0],
        "estimate": [1.01, 2.0],
        "standard_error": [0.1, 0.1],
        "z": [0.1, 10.0],
        "passed": [True, False],
        "broken": [False, True],
    }
)
RECORD = {
    "run_id": "0123abcd",
    "cost": dict.fromkeys(records.COSTS, 90.0),
    "provenance": {"version.torch": "2.13.0", "hardware.cpu": "a processor"},
}


class Page(HTMLParser):
    """Ids, links, images and what the tags are, of a page that closes what it opens."""

    VOID = frozenset({"meta", "link", "br", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids, self.links, self.images, self.open, self.tags = [], [], [], [], set()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.add(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.images += [found["src"]] if "src" in found else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Made-up tables of one cell, with the figures of the rewards and of one gradient."""
    folder = tmp_path_factory.mktemp("figures")
    params = config.load(Path(__file__).parents[2] / "params.yaml")
    experiment = make_experiment()
    found = [each for each in instances(experiment) if each.name in {"fig09_rewards", f"fig01_gradient_variance_{ENV}"}]
    for drawing in found:
        style.save(drawing.draw(), folder, drawing.name, ["png", "svg"], 50)
    path = folder / "train.json"
    path.write_text(json.dumps(RECORD), encoding="utf-8")
    read = [
        records.read(path, f"train@{ENV}-ppo", "train", ENV, "ppo"),
        records.read(folder / "none.json", f"gradient@{ENV}-ppo", "gradient", ENV, "ppo"),
        records.Record("gradient@Other-v0-ppo", "gradient", "Other-v0", "ppo", missing="not run"),
    ]
    entries = [each.entry() for each in found]
    unknown = replace(entries[0], name="fig99_of_tomorrow", section="Tomorrow", caption="A figure of no known section.")
    return render.ReportData(
        params=params,
        experiment=experiment,
        claims=json.loads(decisions.to_json(decisions.decide(experiment))),
        figures=[*entries, unknown],
        folder=folder,
        records={record.name: record for record in read},
        calibration=CHECKS,
    )


def test_the_page_needs_nothing_beside_itself(material):
    page = Page(render.render(material))
    assert "script" not in page.tags
    assert len(page.images) == 2
    assert all(image.startswith("data:image/svg+xml;base64,") for image in page.images)
    outside = {link for link in page.links if not link.startswith(("#", "data:", "figures/"))}
    assert outside == {"https://arxiv.org/abs/1811.02553", "landscapes.html"}


def test_links_within_the_page_hold_and_ids_are_single(material):
    page = Page(render.render(material))
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_every_claim_has_its_verdict_its_rule_and_its_numbers(material):
    text = render.render(material)
    for claim in material.claims:
        row = text.split(f'<tr id="{claim["id"]}">')[1].split("</tr>")[0]
        assert f"{Verdict(claim['verdict']).symbol} {claim['verdict']}</span>" in row
        assert "<strong>Rule.</strong>" in row
    g2 = text.split('<tr id="G2">')[1].split("</tr>")[0]
    assert re.search(r"-0\.04 \[-0\.04, -0\.04\]", g2)  # agents' cosines fall by i / 100


def test_the_page_says_for_every_agent_what_hindsight_loses_by_the_releases_formula(material):
    """Held-out errors of agent k by the release: 12 (1 + k), and 8 (1 + k) where the return is known."""
    text = render.render(material)
    rows = text.split('<h3 id="definitions">')[1].split("</table>")[0]
    for k in range(3):
        numbers = [f"{each:.1%}" for each in (1.0, 12 * (1 + k), 0.2 + k / 10, 0.8, 8 * (1 + k))]
        assert "</td>" + "".join(f'<td class="n">{each}</td>' for each in (k, *numbers)) in rows
    v2 = text.split('<tr id="V2">')[1].split("</tr>")[0]
    assert "knows the returns 0.3 [" in v2
    errors = material.experiment[PredictionError]
    none = material.experiment.replace({PredictionError: errors[errors["iteration"] == 0]})
    assert 'id="definitions"' not in render.render(replace(material, experiment=none))


def test_a_figure_has_its_caption_its_table_and_its_run(material):
    text = render.render(material)
    figure = text.split(f'id="fig01_gradient_variance_{ENV}"')[1].split("<h3")[0]
    assert f"Figure 10: gradient estimates against each other, {ENV}" in text
    assert "Mean pairwise cosine of 10" in figure
    assert "Table: gradient/similarity.csv, 36 rows" in figure
    assert f"data/tables/gradient/{ENV}/ppo/similarity.csv" in figure
    assert f'href="#run-gradient@{ENV}-ppo"' in figure
    assert "Other-v0" not in figure
    rewards = text.split('id="fig09_rewards"')[1].split("<h2")[0]
    assert "MLflow run <code>0123abcd</code>" in rewards


def test_a_figure_of_no_section_is_shown_all_the_same(material):
    text = render.render(material)
    assert "Further figures" in text
    assert "A figure of no known section." in text
    assert "not written as SVG or PNG" in text


def test_a_record_that_is_missing_is_named_with_what_makes_it(material, tmp_path):
    text = render.render(material)
    assert f"none.json is missing or incomplete: dvc repro --force --single-item gradient@{ENV}-ppo" in text
    broken = tmp_path / "half.json"
    for words in ("{", "[]", '{"run_id": "1"}', json.dumps(RECORD | {"cost": {}})):
        broken.write_text(words, encoding="utf-8")
        assert records.read(broken, "train", "train").missing


def test_estimators_that_fail_their_calibration_are_named_in_the_summary(material):
    sound = render.render(material).split('<h2 id="verdicts"')[0]
    assert re.search(r"2 of 2\s+<a href=.#calibration.>checks</a>", sound)
    failed = CHECKS.assign(passed=[False, True])
    summary = render.render(replace(material, calibration=failed)).split('<h2 id="verdicts"')[0]
    assert "Do not trust the numbers of these estimators: gamma dropped; gradient" in summary
    assert "dpg calibrate" in render.render(replace(material, calibration=None)).split('<h2 id="verdicts"')[0]


def test_costs_add_up(material):
    both = [records.Record("a", cost=RECORD["cost"]), records.Record("b", cost=RECORD["cost"]), records.Record("c")]
    sums = dict.fromkeys(("pairs", "episodes", "wall_seconds", "core_seconds"), 180.0)
    assert records.total(both) == sums | {"peak_memory_bytes": 90.0}
    assert "90 s of core time" in render.render(material)


def test_the_busy_share_of_a_stage_is_core_time_over_time_and_workers(material):
    """One of two workers that waits for the other half of the time."""
    cost = RECORD["cost"] | {"wall_seconds": 60.0, "workers": 2.0}
    stages = {"a": records.Record("a", cost=cost), "b": records.Record("b", missing="b is missing")}
    page = render.render(replace(material, records=stages))
    assert re.search(r'id="run-a".*\n.*<td class="n">75.0%</td>', page)


def test_what_ran_on_the_same_machine_is_said_once():
    here, there = {"version.torch": "2.13.0"}, {"version.torch": "2.12.0"}
    made = [
        records.Record("a", provenance=here),
        records.Record("b", provenance=there),
        records.Record("c", provenance=here),
    ]
    assert list(records.machines(made)) == [(["a", "c"], here), (["b"], there)]


def test_parameters_that_differ_from_the_papers_are_named(material):
    params = material.params
    laptop = {each.name: (each.here, each.paper) for each in paper.differences(params)}
    assert laptop["scales.laptop.train.iterations"] == ("100", "500")
    assert laptop["common.time_limit"] == ("bootstrap", "terminal")
    assert "ppo.lr" not in laptop
    changed = params.model_copy(update={"trpo": params.trpo.model_copy(update={"max_kl": 0.02})})
    assert "trpo.max_kl" not in {each.name for each in paper.differences(changed)}  # it is not in use
    used = changed.model_copy(update={"algorithms": ("trpo",)})
    assert ("trpo.max_kl", "0.02") in {(each.name, each.here) for each in paper.differences(used)}


def test_the_papers_parameters_are_ones_that_there_are(material):
    """A name that is misspelt would never differ. What is not built yet may be named."""
    sections = material.params.model_dump() | material.params.budget.model_dump()
    both = {**sections, "landscape": sections["landscape"] | material.params.landscape.model_dump()}
    for section, values in paper.VALUES.items():
        assert values.keys() <= both.get(section, values).keys(), section


def coverage(entries, experiment, params):
    return {each.figure.number: each for each in paper.coverage(entries, params, experiment.label, {})}


def test_every_figure_of_the_paper_is_held_against_ours(material):
    experiment = make_experiment((ENV,), ("ppo", "trpo"))
    entries = [each.entry() for each in instances(experiment)]
    params = material.params.model_copy(update={"algorithms": ("ppo", "trpo")})
    both = coverage(entries, experiment, params)
    assert sorted(both) == list(range(1, 27))
    assert both[1].names == ()
    assert both[1].missing == "envs Humanoid and algorithms PPO-M"
    assert both[10].names == (f"fig01_gradient_variance_{ENV}",)
    assert both[22].names == tuple(f"fig07_landscape_{ENV}_ppo_N{pairs}" for pairs in (200, 1000))
    assert both[22].missing == ""
    assert both[24].names == tuple(f"fig07_landscape_{ENV}_trpo_N{pairs}" for pairs in (200, 1000))
    assert both[9].names == ("fig09_rewards",)
    one = coverage([entry for entry in entries if entry.algorithm != "trpo"], experiment, material.params)
    assert one[24].names == ()
    assert one[24].missing == "algorithms TRPO"


def test_what_one_figure_of_the_paper_lacks_is_of_its_tasks_and_algorithms(experiment):
    """A gradient that was not measured is named under its own figure, as well where another part of that is drawn."""
    columns = ["env", "algorithm", "stage", "reason"]
    rows = [(env, "ppo", "gradient", f"{env} has not run") for env in ("Hopper-v4", "Humanoid-v4")]
    rows.append(("Walker2d-v4", "", "regimes", "no regimes"))
    rows += [("Humanoid-v4", "trpo", "landscape", f"reason {number}") for number in range(5)]
    reasons = pd.DataFrame(rows, columns=columns)
    partly = replace(experiment, tables=replace(experiment.tables, reasons=reasons))
    found = dict(render.unmeasured_figures(partly))
    assert {number: found[number] for number in (1, 2, 10, 11)} == {
        number: f"not measured: {env} has not run"
        for number, env in ((1, "Humanoid-v4"), (2, "Humanoid-v4"), (10, "Hopper-v4"), (11, "Hopper-v4"))
    }
    assert found[7] == "not measured: reason 0; reason 1; reason 2; and 2 more"
    assert 3 not in found


def test_where_a_claim_holds_is_listed_by_verdict_and_what_is_not_measured_counted(material):
    claim = dict(material.claims[0])
    finding = claim["findings"][0]
    where = {"A, PPO": "supported", "B, PPO": "not measured", "C, PPO": "not measured", "D, PPO": "supported"}
    claim["findings"] = [finding | {"where": place, "verdict": verdict} for place, verdict in where.items()]
    text = render.render(replace(material, claims=[claim]))
    row = text.split(f'<tr id="{claim["id"]}">')[1].split("</details></td>")[1].split("</tr>")[0]
    assert "Supported: A, PPO; D, PPO</span>" in row
    assert "Not measured: 2 of 4</span>" in row


ODD = ("Task", "Task-v0", "mine/Task-v0", "My.Task-v1", "3Task-v0", "My-Task")


@pytest.mark.slow
def test_a_figure_is_of_its_task_alone_whatever_ids_look_like(material):
    """Tasks and algorithms whose names begin or end as others do: nothing is read off a file's name."""
    algorithms = ("ppo", "ppo_m", "my_ppo")
    experiment = make_experiment(ODD, algorithms)
    found = instances(experiment)
    assert len({instance.name for instance in found}) == len(found)
    stages = [
        records.Record(f"{stage}@{env}-{algorithm}", stage, env, algorithm)
        for stage in ("landscape", "gradient")
        for env in ODD
        for algorithm in algorithms
    ] + [records.Record(f"regimes@{env}", "regimes", env) for env in ODD]
    data = replace(material, experiment=experiment, records={each.name: each for each in stages})
    for instance in found:
        assert "/" not in instance.name
        entry, shown = instance.entry(), render.view(data, instance.entry())
        if entry.figure in {"fig07_cut", "fig01_gradient_variance"}:
            stage = {"fig07_cut": "landscape", "fig01_gradient_variance": "gradient"}[entry.figure]
            mine = [entry.algorithm] if entry.algorithm else algorithms
            assert [each.name for each in shown.records] == [f"{stage}@{entry.env}-{name}" for name in mine]
        if entry.figure == "fig03_regimes":
            assert [each.name for each in shown.records] == [f"regimes@{entry.env}"]


def test_an_algorithm_without_a_label_is_drawn_under_its_name():
    experiment = make_experiment((ENV,), ("ppo", "my_ppo"))
    assert distinct(experiment[History], "algorithm") == ["ppo", "my_ppo"]
    (rewards,) = (each for each in instances(experiment) if each.name == "fig09_rewards")
    assert "my_ppo: 3 agents" in rewards.caption
    labels = [text.get_text() for text in rewards.draw().legends[0].get_texts()]
    assert labels[:2] == ["PPO", "my_ppo"]


def png(width: int, **options: Any) -> bytes:
    file = BytesIO()
    Image.new("P", (width, 1)).save(file, "png", **options)
    return file.getvalue()


def test_a_large_svg_gives_way_to_png():
    """Only where there is a PNG; the width on the page is that of the SVG all the same."""
    narrow = png(243, dpi=(72, 72))
    small, large = (b'<svg width="243pt">' + b" " * length for length in (0, images.LARGEST_SVG))
    kinds = {
        "svg+xml": [{"svg": small}, {"svg": small, "png": narrow}, {"svg": large}],
        "png": [{"svg": large, "png": narrow}, {"png": narrow}],
    }
    for kind, cases in kinds.items():
        for files in cases:
            image = images.embed(files)
            assert image is not None
            assert image.source.startswith(f"data:image/{kind};base64,")
            assert image.share == pytest.approx(0.5, abs=1e-3)
    assert images.share_of_width({"png": png(243)}) == 1.0
    assert images.embed({}) is None
