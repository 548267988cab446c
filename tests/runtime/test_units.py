"""Durations and sizes in words."""

import pytest

from dpg.runtime.units import duration, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (99, "99 s"),
        (100, "1.7 min"),
        (3600, "60 min"),
        (7200, "2.0 h"),
        (400000, "4.6 days"),
        (1e8, "1,157 days"),
    ],
)
def test_duration_picks_a_suitable_unit(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_600, "1.0 MB"), (124e9, "124 GB"), (3e15, "3,000 TB")],
)
def test_size_picks_a_suitable_unit(count, words):
    assert size(count) == words
