"""Interactive landscapes: what one shows, and that a page needs nothing else."""

import json

import numpy as np
from plotly.offline import get_plotlyjs

from dpg.report.page import interactive
from dpg.tables.landscape import LandscapePoint


def test_every_landscape_can_be_chosen_and_shows_its_own_heights(experiment):
    found = json.loads(interactive.figure(experiment).to_json(engine="json"))
    buttons = found["layout"]["updatemenus"][0]["buttons"]
    assert [button["label"] for button in buttons] == [
        f"iteration {i}, update from {pairs} pairs" for i in (0, 4) for pairs in ("200", "1,000")
    ]
    figure = interactive.figure(experiment)
    for number, button in enumerate(buttons):
        visible = button["args"][0]["visible"]
        shown = [trace for trace, shows in zip(figure.data, visible, strict=True) if shows]
        assert len(shown) == len(figure.data) / 4
        sign = 1 if number < 2 else -1
        surrogate, reward, low, high = (np.array(trace.z) for trace in shown[:4])
        # Rows of z are b, columns a: the surrogate is a - 2.1 b, the reward 50 +- its cube, its error 2 + a.
        expected = np.arange(4.0) - 2.1 * np.array([[0.0], [1.5], [3.0]])
        np.testing.assert_allclose(surrogate, expected)
        np.testing.assert_allclose(reward, 50 + sign * expected**3)
        np.testing.assert_allclose(high - low, np.broadcast_to(2 * 2.447 * (2 + np.arange(4.0)), (3, 4)), rtol=1e-4)
        assert list(shown[-1].x) == [0, 1]
    assert [trace.visible for trace in figure.data].count(True) == len(figure.data) / 4


def test_a_grid_without_the_snapshot_marks_the_full_step_alone(experiment):
    """Else the step has the snapshot's name."""
    beyond = experiment.replace({LandscapePoint: experiment[LandscapePoint].query("step > 0")})
    marks = [trace for trace in interactive.figure(beyond).data if trace.type == "scatter3d"]
    assert marks
    assert {(trace.text, trace.x, trace.marker.color) for trace in marks} == {(("full step",), (1.0,), ("black",))}


def test_a_page_loads_nothing_from_elsewhere_and_is_the_same_twice(experiment):
    page = interactive.page(experiment)
    assert page == interactive.page(experiment)
    assert page.startswith("<!doctype html>")
    assert page.count(get_plotlyjs()) == 1
    own = page.replace(get_plotlyjs(), "")
    assert own.count("Plotly.newPlot(") == len(experiment[LandscapePoint].groupby(["env", "algorithm", "agent"]))
    assert "<script src" not in own
    assert len(own) < 200_000
