"""The rules decide as seldom wrongly, and as often rightly, as docs/claims.md says."""

import re

import numpy as np
import pytest
from scipy import stats

from dpg.report.claims import characteristics, gradients
from dpg.report.claims.catalog import claims
from tests.pipeline.project import ROOT

EXPERIMENTS = 200
# More false verdicts of one kind than this come, of a true share of 5 %, in one of 10,000 suites.
MOST = int(stats.binom.isf(1e-4, EXPERIMENTS, 0.05))


@pytest.mark.parametrize(("claim", "scale"), [("G1", "laptop"), ("G5", "paper"), ("V2", "laptop"), ("V5", "laptop")])
def test_a_truth_on_the_edge_is_seldom_decided(claim, scale, params, statistics):
    (found,) = characteristics.measure(scale, params.scales[scale], statistics, EXPERIMENTS, (claim,))
    assert found.false_supported * EXPERIMENTS <= MOST
    assert found.false_contradicted * EXPERIMENTS <= MOST
    assert found.power > 0.5


def test_intervals_that_are_too_narrow_would_show(params, statistics):
    """At a confidence of 50 % a quarter of the verdicts on the edge is wrong on either side."""
    narrow = statistics.model_copy(update={"confidence": 0.5})
    (found,) = characteristics.measure("laptop", params.scales["laptop"], narrow, EXPERIMENTS, ("G1",))
    assert found.false_supported * EXPERIMENTS > MOST
    assert found.false_contradicted * EXPERIMENTS > MOST


def test_one_agent_decides_nothing(params, statistics):
    alone = params.scales["laptop"].model_copy(
        update={"train": params.scales["laptop"].train.model_copy(update={"agents": 1})}
    )
    (found,) = characteristics.measure("laptop", alone, statistics, 20, ("G1",))
    assert (found.false_supported, found.false_contradicted, found.power) == (0, 0, 0)


def test_the_page_has_every_claim_at_the_sizes_of_the_scales(params):
    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w\d) \| `(\w+)` \| (.*?) \|", text, flags=re.MULTILINE)
    expected = [
        (claim, scale, sizes)
        for scale in ("laptop", "workstation", "paper")
        for claim, declared in claims().items()
        for sizes in [declared.simulation.sizes(params.scales[scale])]
    ]
    assert rows == expected
    assert {claim for claim, *_ in rows} == set(claims())


def test_the_signal_gives_the_share_that_is_asked_for():
    rng = np.random.default_rng(1)
    for share in (0.01, 0.1):
        estimates = rng.standard_normal((2, 100_000, gradients.DIMENSIONS))
        estimates[..., 0] += gradients.signal_for(share)
        found = (np.sum(estimates[0] * estimates[1], axis=-1) <= 0).mean()
        assert found == pytest.approx(share, rel=0.15)
