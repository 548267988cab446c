"""Figures become the same bytes each time, in looks that differ also in grey, and leave matplotlib as it was."""

import os
import re
import subprocess
import sys
from itertools import combinations, pairwise

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import colors

from dpg.report import style
from dpg.report.experiment import styles_of
from dpg.report.figures import ablation, landscape, regimes, rewards
from dpg.tables.landscape import LandscapePoint


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_the_same_table_gives_the_same_bytes(kind, experiment, statistics, tmp_path):
    files = []
    for attempt in ("first", "second"):
        (tmp_path / attempt).mkdir()
        for name, figure in (
            ("flat", rewards.FIGURE.draw(experiment)),
            (
                "solid",
                landscape.SURFACES.draw(
                    experiment.replace({LandscapePoint: experiment[LandscapePoint].query("update_pairs == 200")})
                ),
            ),
            ("regimes", regimes.FIGURE.draw(experiment)),
            ("ablation", ablation.FIGURE.draw(experiment)),
        ):
            files += style.save(figure, tmp_path / attempt, name, [kind], dpi=50)
    half = len(files) // 2
    assert len({file.name for file in files}) == half == 4
    assert [file.read_bytes() for file in files[:half]] == [file.read_bytes() for file in files[half:]]


def test_files_name_no_date_and_no_version(experiment, statistics, tmp_path):
    """Bytes that are stable today must also be so tomorrow and after an upgrade that draws alike."""
    figure = rewards.FIGURE.draw(experiment)
    for path in style.save(figure, tmp_path, "figure", ["png", "pdf", "svg"], dpi=50):
        content = path.read_bytes()
        assert mpl.__version__.encode() not in content, path.name
        assert not re.search(rb"CreationDate|Producer|Software|<dc:date>", content), path.name


def test_a_format_has_the_same_layout_alone_and_with_others(experiment, statistics):
    """Otherwise `figures.formats` would move the panels of a PDF."""
    together = style.render(rewards.FIGURE.draw(experiment), ["png", "pdf", "svg"], dpi=50)
    for kind, data in together.items():
        assert style.render(rewards.FIGURE.draw(experiment), [kind], dpi=50) == {kind: data}


def test_drawing_leaves_matplotlib_as_it_was(experiment, statistics):
    before = dict(mpl.rcParams)
    rewards.FIGURE.draw(experiment)
    assert dict(mpl.rcParams) == before


DRAW = """
import sys
from pathlib import Path
import numpy as np
import pandas as pd
from dpg.report import style
from dpg.report.experiment import styles_of

@style.paper()
def draw():
    figure = style.new_figure(3, 2)
    axes = figure.subplots()
    rows = pd.DataFrame({"x": [1.0, 2.0], "mean": [-1.0, 1.0], "low": -2.0, "high": 2.0})
    style.curve(axes, rows, "x", style.fallback_style("ppo"))
    axes.set_xlabel("$x_1$")
    axes.legend(["one"])
    return figure

style.save(draw(), Path(sys.argv[1]), "figure", ["png", "pdf", "svg"], 50)
"""
SETTINGS = """
savefig.transparent: True
savefig.pad_inches: 2
figure.autolayout: True
lines.solid_capstyle: round
axes.unicode_minus: False
axes.labelpad: 14
mathtext.fontset: stix
legend.loc: lower right
text.usetex: True
"""


@pytest.mark.slow
def test_a_users_own_settings_of_matplotlib_change_no_figure(tmp_path):
    """MPLBACKEND as a notebook leaves it to the commands that it starts, and a matplotlibrc."""
    (tmp_path / "matplotlibrc").write_text(SETTINGS, encoding="utf-8")
    theirs = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    drawn = []
    for name, settings in (("plain", {}), ("theirs", theirs)):
        (tmp_path / name).mkdir()
        environment = {key: value for key, value in os.environ.items() if key not in theirs} | settings
        subprocess.run([sys.executable, "-c", DRAW, str(tmp_path / name)], env=environment, check=True)
        drawn.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert len(drawn[0]) == 3
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(("given", "kept"), [("svg", "svg"), ("nonsense", None)])
def test_a_backend_that_is_there_stays_the_users(given, kept):
    """In a notebook, drawing ours first is not to switch off theirs."""
    program = (
        "import os, dpg.report.style, matplotlib; "
        "print(matplotlib.get_backend(auto_select=False), os.environ['MPLBACKEND'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"MPLBACKEND": given},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.split() == [str(kept), given]


def test_algorithms_differ_in_marker_in_line_and_in_grey():
    looks = list(styles_of(["ppo", "ppo_m", "trpo"], []).values())
    greys = [colors.to_rgb(look.color) @ np.array([0.299, 0.587, 0.114]) for look in looks]
    assert all(abs(a - b) > 0.15 for a, b in combinations(greys, 2))
    assert len({look.marker for look in looks}) == len({str(look.dashes) for look in looks}) == 3


def test_tints_run_from_the_colour_towards_white():
    tints = style.tints("#004488", 4)
    assert tints[0] == "#004488"
    assert [colors.to_rgb(t)[0] for t in tints] == sorted({colors.to_rgb(t)[0] for t in tints})
    assert style.tints("#004488", 1) == ["#004488"]


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_a_sequence_darkens_step_by_step_and_its_patterns_differ(count):
    looks = style.sequence(count)
    greys = [float(colors.to_rgb(look.color) @ np.array([0.299, 0.587, 0.114])) for look in looks]
    assert all(before - after > 0.08 for before, after in pairwise(greys))
    assert greys[0] < 0.75  # a line of it is seen on white paper
    assert len({str(look.dashes) for look in looks}) == count
    assert looks[-1].dashes == "solid"


def test_a_sequence_of_one_is_dark_and_solid():
    assert style.sequence(1) == style.sequence(2)[1:]


def test_the_wing_loads_no_simulator_no_torch_and_no_pyplot():
    heavy = {"torch", "gymnasium", "mujoco", "matplotlib.pyplot", "mlflow"}
    imports = "import sys, dpg.report.metrics, dpg.report.figures.catalog as catalog; catalog.figures()"
    program = f"{imports}; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert result.stdout.strip() == "[]"


def test_a_band_that_reaches_below_zero_ends_at_the_frame_where_it_does():
    """Without this, a logarithmic scale fills it down to the frame from the point before to the point after."""
    axes = style.new_figure(2.0, 2.0).subplots()
    axes.plot([0, 1, 2], [3.0, 1.0, 3.0])
    axes.fill_between([0, 1, 2], [2.0, -3.0, 2.0], [6.0, 7.0, 6.0])
    style.log_scale(axes)
    [path] = axes.collections[0].get_paths()
    lowest = {x: path.vertices[path.vertices[:, 0] == x, 1].min() for x in (0, 1, 2)}
    assert lowest == {0: 2.0, 1: axes.get_ylim()[0], 2: 2.0}
