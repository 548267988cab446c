"""A diagnosis is the same bytes for the same tier, says what it left out, and plans within the time asked for."""

import re
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from dpg import api
from dpg.agent import snapshot as snapshots
from dpg.agent.export import export
from dpg.cli.app import app
from dpg.cli.diagnose import write
from dpg.diagnose.budget import AgentRates, largest, seconds
from dpg.diagnose.catalog import CHECKS, chosen
from dpg.diagnose.plan import TIERS, DiagnosisPlan
from dpg.diagnose.run import NOTHING_FOUND, conclude, measure
from dpg.envs.errors import EnvError
from dpg.envs.make import action_space_of
from dpg.runtime.errors import FileError, UserError
from dpg.runtime.shards import ExecutionContext

from .conftest import with_recipe


@pytest.fixture(scope="module")
def file(healthy, tmp_path_factory):
    return snapshots.save(healthy, tmp_path_factory.mktemp("agents"))


@pytest.mark.slow
def test_the_same_tier_gives_the_same_bytes(file, tmp_path, monkeypatch):
    monkeypatch.setenv("DPG_JOBS", "1")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(api.diagnose(file, tier="xs", checks=["exploration", "gradient agreement"]), tmp_path / name)
    for part in ("index.html", "findings.json"):
        assert (tmp_path / "one" / part).read_bytes() == (tmp_path / "two" / part).read_bytes()
    page = (tmp_path / "one" / "index.html").read_text(encoding="utf-8")
    assert NOTHING_FOUND in page
    assert "--tier xs --seed 0" in page
    assert page.count("<img") == 1
    # It opens from a disk without a network: no script, and nothing that is fetched.
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)


def test_what_time_is_not_left_for_is_named_with_a_way_to_have_it(healthy):
    evidence = measure(DiagnosisPlan(healthy, TIERS[0], 200, 0), CHECKS, ExecutionContext(), deadline=0.0)
    for check in CHECKS:
        finding = conclude(check, evidence)
        if check.needs:
            assert finding.status.value == "not measured"
    reason = conclude(chosen(["updates"])[0], evidence).reason
    assert reason == "the time asked for was used up before; --tier xs measures it, whatever it takes"


def test_long_horizons_are_capped_by_the_budget_and_that_is_said(healthy):
    [check] = chosen(["value error"])
    tier = replace(TIERS[0], state_pairs=50_000)
    assert DiagnosisPlan(with_recipe(healthy, common={"gamma": 0.99}), tier, 200, 0).states == (12, 4)
    capped = with_recipe(healthy, common={"gamma": 0.997})
    assert DiagnosisPlan(capped, tier, 200, 0).states == (8, 4)
    too_long = with_recipe(healthy, common={"gamma": 0.9999})
    evidence = measure(DiagnosisPlan(too_long, tier, 200, 0), [check], ExecutionContext(), None)
    reason = conclude(check, evidence).reason
    assert reason.startswith("at gamma = 0.9999 a rollout takes 46,051 pairs, and tier xs has 50,000 for 32 of them")


def test_more_time_never_gives_a_smaller_tier_and_larger_tiers_take_longer(healthy):
    rates = AgentRates(pair=3e-5, score=1e-5, update=2e-4, length=200)
    times = [seconds(DiagnosisPlan(healthy, tier, rates.length, 0), rates, 2) for tier in TIERS]
    assert times == sorted(set(times))
    taken = [largest(healthy, rates, 2, minutes, 0).tier for minutes in (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 1e3)]
    assert [TIERS.index(tier) for tier in taken] == sorted(TIERS.index(tier) for tier in taken)
    assert (taken[0], taken[-1]) == (TIERS[0], TIERS[-1])
    slow = AgentRates(pair=3e-3, score=1e-3, update=2e-2, length=200)
    assert largest(healthy, slow, 2, 4.0, 0).tier is TIERS[0]


def test_a_task_that_does_not_fit_or_a_size_that_is_not_there_is_refused(file):
    with pytest.raises(EnvError, match=r"Hopper-v4 has observations of shape \(11,\) .* name its task with --env"):
        api.diagnose(file, env_id="Hopper-v4")
    with pytest.raises(UserError, match="--tier huge: must be one of xs, s, m, l, xl, xxl"):
        api.diagnose(file, tier="huge")


def test_an_agent_without_a_value_net_has_the_checks_that_do_without(healthy, diagnosed):
    findings = diagnosed(with_recipe(healthy, common={"baseline": "none"}), "value error", "gradient agreement")
    assert findings["value error"].reason.startswith("needs common.baseline = value")
    assert findings["gradient agreement"].status.value != "not measured"


def test_an_agent_of_other_code_is_read_and_says_which_checks_its_files_do_not_allow(healthy, tmp_path, monkeypatch):
    monkeypatch.setenv("DPG_JOBS", "1")
    agent = export(healthy, action_space_of("LinearQuadratic-v0"), tmp_path)
    found = {
        each.check.name: each for each in api.diagnose(agent, tier="xs", checks=["exploration", "updates"]).findings
    }
    assert found["exploration"].status.value != "not measured"
    assert "which the agent came without" in found["updates"].reason


def test_updates_that_cannot_move_are_not_called_harmless(healthy, diagnosed):
    for finding in diagnosed(with_recipe(healthy, config={"lr": 0.0}), "updates", "fitted noise").values():
        assert finding.reason.startswith("updates leave the policy where it is")


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(file, tmp_path, monkeypatch):
    """Minutes of measurement are not to be lost for it."""
    monkeypatch.setattr(api, "diagnose", lambda *_, **__: pytest.fail("it was measured first"))
    (tmp_path / "file").touch()
    refused = CliRunner().invoke(app, ["diagnose", str(file), "-o", str(tmp_path / "file" / "out")])
    assert isinstance(refused.exception, FileError)
    assert str(refused.exception) == f"{tmp_path / 'file' / 'out'}: cannot be written (Not a directory)"


def test_a_snapshot_takes_no_options_of_an_import(file):
    """A normaliser that is named and not read would be a wrong diagnosis."""
    with pytest.raises(UserError, match="normalizer cannot be given"):
        api.diagnose(file, tier="xs", normalizer="vecnormalize.pkl")


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_minutes_must_be_more_than_none(file, minutes):
    with pytest.raises(UserError, match="must be more than 0"):
        api.diagnose(file, minutes=minutes)
