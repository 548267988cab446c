"""What the stages that train have in common."""

from dpg.runtime.outputs import read_table
from dpg.tables.training import History, IterationRecord
from stages.common.training import write_history


def record(agent: int, iteration: int) -> IterationRecord:
    return IterationRecord(agent, iteration, 10 * (iteration + 1), 1.0, 2.0, 3, 0.1, 0.2, 0.3, 0.4, 0.5)


def test_histories_are_sorted_by_owner_agent_and_iteration(tmp_path):
    rows = [
        ({"env": env, "algorithm": "ppo"}, record(agent, i))
        for i in (0, 1)
        for agent in (1, 0)
        for env in ("B-v0", "A-v0")
    ]
    write_history(History, rows, tmp_path)
    table = read_table(tmp_path / "history.csv")
    keys = list(zip(table["env"], table["agent"], table["iteration"], strict=True))
    assert keys == sorted(keys)
    assert len(set(keys)) == 8
