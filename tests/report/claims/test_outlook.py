"""What is said before a run of the claims that it can decide: parameters that are named are missed, and would do."""

import pytest

from dpg.cli import overrides
from dpg.cli.claims_before import as_overrides
from dpg.report.claims import outlook
from dpg.report.claims.catalog import claims as all_claims
from tests.pipeline.project import ROOT

PARAMS = ROOT / "params.yaml"
OF_AGENTS = "G1 G2 G3 G4 G5 G6 V1 V2 V3 V4 V5 L1 L2 L3 L4 L5 L6"


def ahead(changes: list[str], values=None) -> dict[str, outlook.Outlook]:
    found = outlook.outlooks(overrides.read(PARAMS, [*changes, *as_overrides(values or {})]), {})
    return {each.claim.id: each for each in found}


@pytest.mark.parametrize("scale", ["smoke", "laptop", "workstation", "paper"])
def test_every_claim_has_an_outlook_and_what_it_asks_for_would_do(scale):
    chosen = [f"scale={scale}"]
    found = ahead(chosen)
    assert list(found) == list(all_claims())
    for name, each in found.items():
        assert each.changes is not None
        assert ahead(chosen, each.changes)[name].missing == ()


def test_the_workstation_decides_every_claim():
    """What the scale is for: all tasks and algorithms of the paper, and no claim that lacks anything."""
    chosen = ["scale=workstation", "envs=[Hopper-v4, Walker2d-v4, Humanoid-v4]", "algorithms=[ppo, ppo_m, trpo]"]
    assert [name for name, each in ahead(chosen).items() if each.missing] == []


@pytest.mark.parametrize(
    ("changes", "claims"),
    [
        (["train.agents=1", "train.group_size=1", "landscape.agents=1"], OF_AGENTS),
        (["regimes.agents=1"], "R1 R2 R3"),
        (["checkpoint.fractions=[0.0]"], "G1 G2 G3 G4 G5 V3 V4 L1 L2 L4 L5 L6"),
        (["checkpoint.fractions=[0.9]"], "G1 G2"),
        (["checkpoint.curve_every=100"], "G6 V1 V2"),
        (["gradient.sizes=[4000, 8000]"], "G1 G2 G3 G4 G5"),
        (["gradient.sizes=[2000, 4000]"], "G4"),
        (["baselines.sizes=[4000]"], "V3"),
        (["ablation.algorithms=[ppo_m]"], "V5"),
        (["regimes.envs=[Humanoid-v4]"], "R1 R2 R3"),
        (["regimes.timesteps=[2000]"], "R1 R2 R3"),
        (["regimes.rates=[1e-4, 2e-4]"], "R1 R2 R3"),
        (["regimes.rates=[1e-4, 1.25e-4]"], "R1 R2"),
        (["landscape.update_pairs=[4000]"], "L1 L2"),
        (["landscape.pairs_per_point=8000", "landscape.concentration=[4000]"], "L1 L2"),
        (["update_gain.update_pairs=[4000]"], "L4 L5 L6"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(changes, claims):
    """Held against the default scale: what that lacks already is not counted."""
    before, after = ahead([]), ahead([f"scales.laptop.{each}" for each in changes])
    names = [f"scales.laptop.{each.split('=')[0]}" for each in changes]
    for name in all_claims():
        new = {lack.what for lack in after[name].missing} - {lack.what for lack in before[name].missing}
        assert bool(new) is (name in claims.split() and not _lacked(before[name], names)), name
        assert all(any(lack.startswith(each) for each in names) for lack in new), new


def _lacked(each: outlook.Outlook, names: list[str]) -> bool:
    """Whether the default scale already lacks the same, so that nothing new is said."""
    return any(lack.what.startswith(name) for lack in each.missing for name in names)


def test_what_no_parameter_mends_suggests_none():
    found = outlook.outlooks(overrides.read(PARAMS, []), {"value": "needs a value net"})
    lacking = {each.claim.id: each for each in found if any(lack.changes is None for lack in each.missing)}
    assert set(lacking) == {"V1", "V2"}
    assert all(each.changes is None for each in lacking.values())
