"""Interactive landscapes: what one shows, and that a page needs nothing else."""

import json
import re

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from dpg.report.experiment import select
from dpg.report.page import interactive
from dpg.tables.landscape import LandscapePoint

SCRIPT = re.compile(r"const landscapes = (.*);\n")


def test_every_landscape_can_be_chosen(experiment):
    own = interactive.page(experiment).replace(get_plotlyjs(), "")
    names = [f"iteration {i}, update from {pairs} pairs" for i in (0, 4) for pairs in ("200", "1,000")]
    options = re.findall(r'<option value="(\d+)">Hopper-v4, PPO, agent 0, (.*)</option>', own)
    assert options == [(str(number), name) for number, name in enumerate(names)]
    figures = json.loads(SCRIPT.findall(own)[0])
    assert len(figures) == len(options)
    heights = [json.dumps(each["reward"]["data"][0]["z"]) for each in figures]
    assert heights[0] == heights[1] != heights[2] == heights[3]  # made-up heights depend on the iteration alone


@pytest.mark.parametrize(("iteration", "sign"), [(0, 1), (4, -1)])
def test_a_landscape_has_its_own_heights(iteration, sign, experiment):
    one = experiment.where(iteration=iteration, update_pairs=200)
    [surface, marks] = interactive.figure(one, "surrogate").data
    # Rows of z are b, columns a: the surrogate is a - 2.1 b, the reward 50 +- its cube, its error 2 + a.
    expected = np.arange(4.0) - 2.1 * np.array([[0.0], [1.5], [3.0]])
    np.testing.assert_allclose(surface.z, expected)
    assert list(marks.x) == [0, 1]
    reward, low, high, marks = interactive.figure(one, "reward").data
    np.testing.assert_allclose(reward.z, 50 + sign * expected**3)
    errors = np.broadcast_to(2 * 2.447 * (2 + np.arange(4.0)), (3, 4))
    np.testing.assert_allclose(np.array(high.z) - np.array(low.z), errors, rtol=1e-4)
    assert list(marks.x) == [0, 1]


def test_a_grid_without_the_snapshot_marks_the_full_step_alone(experiment):
    """Else the step has the snapshot's name."""
    beyond = experiment.where(iteration=0, update_pairs=200)
    beyond = beyond.replace({LandscapePoint: beyond[LandscapePoint].query("step > 0")})
    for height in interactive.TITLES:
        marks = interactive.figure(beyond, height).data[-1]
        assert (marks.text, marks.x, marks.marker.color) == (("full step",), (1.0,), ("black",))


def test_a_page_loads_nothing_from_elsewhere_and_is_the_same_twice(experiment):
    page = interactive.page(experiment)
    assert page == interactive.page(experiment)
    assert page.startswith("<!DOCTYPE html>")
    assert page.count(get_plotlyjs()) == 1
    own = page.replace(get_plotlyjs(), "")
    assert "<script src" not in own
    assert len(own) < 200_000


def test_a_page_without_landscapes_says_so(experiment):
    none = experiment.replace({LandscapePoint: select(experiment[LandscapePoint], iteration=-1)})
    assert "No landscape was measured." in interactive.page(none)
