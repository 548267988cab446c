"""Tables and figures of a project, from Python."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from dpg import api
from dpg.runtime.errors import UserError
from dpg.tables.table import table_of
from stages.common.scope import Cell, TaskScope
from stages.common.scope import tables as place

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(written, tmp_path) -> Path:
    """What stages leave, where they leave it: the tables of one cell."""
    root = tmp_path / "project"
    for stage in [path.name for path in written.iterdir()]:
        (root / place(stage, TaskScope("", "ppo"))).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(written / stage, root / place(stage, TaskScope("", "ppo")))
    shutil.copy(ROOT / "params.yaml", root)
    return root


def test_every_table_is_read_from_where_its_stage_writes_it(project, experiment):
    assert set(api.tables()) == {table_of(kind).name for kind in experiment.tables.frames}
    for kind, frame in experiment.tables.frames.items():
        pd.testing.assert_frame_equal(api.table(table_of(kind).name, project), frame, check_dtype=False)


def test_a_table_that_there_is_not_is_told_with_those_that_there_are(project):
    with pytest.raises(UserError, match=r"no table 'value'; there are .*value/value\.csv"):
        api.table("value", project)


def test_a_table_that_is_missing_is_told_with_how_to_make_it(project):
    (project / place("value", Cell("Hopper-v4", "ppo")) / "value.csv").unlink()
    with pytest.raises(
        UserError, match=r"value/Hopper-v4/ppo/value\.csv is missing: run `dvc repro value@Hopper-v4-ppo`"
    ):
        api.table("value/value.csv", project)


def test_a_figure_is_drawn_again(project):
    figures = api.figures(project)
    assert isinstance(figures["fig09_rewards"].draw(), Figure)
    assert "Hopper-v4" in " ".join(figures)
