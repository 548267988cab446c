"""Which snapshots are studied."""

from dpg.runtime.budgets import nearest


def test_the_papers_fractions_give_the_papers_iterations():
    assert nearest([0.0, 0.3, 0.6, 0.9], range(0, 500, 10), 500) == [0, 150, 300, 450]


def test_other_budgets_take_the_nearest_snapshot_once():
    assert nearest([0.0, 0.34], [0, 2, 4], 6) == [0, 2]
    assert nearest([0.0, 0.1, 0.9], [0, 2], 4) == [0, 2]
