"""What the tests of updates share."""

from collections.abc import Callable
from dataclasses import fields

import pytest

from dpg.agent.population import Population
from dpg.learning.batch import Batch


@pytest.fixture
def population(make_population) -> Population:
    return make_population(2)


@pytest.fixture
def of_member() -> Callable[[Batch, int], Batch]:
    """One agent's part of a batch."""

    def select(batch: Batch, member: int) -> Batch:
        return Batch(**{field.name: getattr(batch, field.name)[member : member + 1] for field in fields(batch)})

    return select
