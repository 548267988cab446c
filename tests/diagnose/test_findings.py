"""Statuses follow from intervals alone."""

import json
import math

import pytest

from dpg.diagnose.catalog import CHECKS, chosen
from dpg.diagnose.findings import Effect, Finding, Status, worst
from dpg.numerics.statistics import Interval
from dpg.runtime.errors import UserError

NAN, INF = math.nan, math.inf


def effect(low: float, high: float, acceptable: tuple[float, float] | None = (0.0, 1.0)) -> Effect:
    return Effect("quantity", Interval((low + high) / 2, low, high), {"units": 7}, acceptable)


@pytest.mark.parametrize(
    ("low", "high", "acceptable", "status"),
    [
        (0.2, 0.8, (0.0, 1.0), Status.NOT_FOUND),
        (0.0, 1.0, (0.0, 1.0), Status.NOT_FOUND),
        (1.1, 1.3, (0.0, 1.0), Status.FOUND),
        (-0.3, -0.1, (0.0, 1.0), Status.FOUND),
        (0.9, 1.1, (0.0, 1.0), Status.UNDECIDED),
        (-0.1, 1.1, (0.0, 1.0), Status.UNDECIDED),
        (NAN, NAN, (0.0, 1.0), Status.UNDECIDED),
        (0.2, NAN, (0.0, 1.0), Status.UNDECIDED),
        (0.2, NAN, (0.0, INF), Status.NOT_FOUND),
        (0.2, INF, (0.0, INF), Status.NOT_FOUND),
        (1.2, INF, (0.0, 1.0), Status.FOUND),
        (5.0, 6.0, None, Status.NOT_FOUND),
    ],
)
def test_an_effect_is_found_only_if_its_whole_interval_is_out(low, high, acceptable, status):
    assert effect(low, high, acceptable).status is status


def test_a_finding_is_as_grave_as_its_gravest_effect():
    good, open_, bad = effect(0.2, 0.8), effect(0.9, 1.1), effect(1.1, 1.3)
    check = CHECKS[0]
    assert Finding(check, (good, good)).status is Status.NOT_FOUND
    assert Finding(check, (good, open_)).status is Status.UNDECIDED
    assert Finding(check, (open_, bad, good)).status is Status.FOUND
    assert Finding(check, (bad,), reason="there is no net").status is Status.NOT_MEASURED
    assert worst([good, bad, open_]) is bad
    assert worst([effect(0.1, 0.2), effect(0.7, 0.9)]).interval.low == 0.7


def test_json_has_no_number_that_is_none():
    finding = Finding(CHECKS[0], (effect(0.2, INF, (0.0, INF)), effect(NAN, NAN)))
    table = json.loads(json.dumps(finding.as_dict(), allow_nan=False))
    assert table["effects"][0]["high"] is None
    assert table["effects"][0]["acceptable"] == [0.0, None]
    assert table["effects"][1]["value"] is None


def test_numbers_read_well():
    assert Effect("q", Interval(12345.6, -0.00001, INF), {}, None, "pairs").amount == "12,346 [-1e-05, ∞] pairs"
    assert Effect("q", Interval(0.5, 0.5, 0.5), {}).amount == "0.5"
    assert Effect("q", Interval(0.5, NAN, NAN), {}).amount == "0.5 [?, ?]"
    ranges = ((0.0, 1.0), (-INF, 0.5), (0.1, INF), None)
    assert [effect(0.0, 1.0, ends).limits for ends in ranges] == ["0 to 1", "≤ 0.5", "≥ 0.1", ""]


def test_a_check_that_is_not_there_is_refused_with_those_that_are():
    assert chosen([]) == CHECKS
    assert [check.name for check in chosen(["value bias", "returns"])] == ["returns", "value bias"]
    with pytest.raises(UserError, match="--check 'value': there is no such check; there are returns, exploration"):
        chosen(["value"])
