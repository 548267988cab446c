"""What every execution of the sample stage is held against."""

import pytest

from tests.stages.sample import Ending, Project


@pytest.fixture(scope="package")
def store(tmp_path_factory):
    """One for all executions: making it takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture(scope="package")
def smooth(tmp_path_factory, store) -> Ending:
    """An execution that nothing stops."""
    return Project(tmp_path_factory.mktemp("smooth") / "project", store).run_stage()
