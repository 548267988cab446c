"""Numbers are written as people write them."""

import pandas as pd
import pytest

from dpg.report.wording import compact, counted, scientific


@pytest.mark.parametrize(("number", "text"), [(3e-4, "3e-4"), (1.25e-4, "1.25e-4"), (0.01, "1e-2"), (2.0, "2e0")])
def test_scientific_numbers(number, text):
    assert scientific(number) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0.04, "0.0"), (9.94, "9.9"), (12.4, "12"), (999.4, "999"), (3448.0, "3.4k"), (50_000.0, "50k")]
)
def test_compact_counts(count, text):
    assert compact(count) == text


@pytest.mark.parametrize(
    ("counts", "noun", "text"),
    [
        (1, "agent", "1 agent"),
        (2_000, "pair", "2,000 pairs"),
        (0, "episode", "0 episodes"),
        ([1, 1], "complete trajectory", "1 complete trajectory"),
        ([3, 1], "complete trajectory", "1 to 3 complete trajectories"),
    ],
)
def test_things_are_counted_in_the_singular_only_where_each_is_one(counts, noun, text):
    assert counted(pd.Series(counts) if isinstance(counts, list) else counts, noun) == text
