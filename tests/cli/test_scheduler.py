"""The order of stages, which end as the test says."""

import asyncio

from dpg.cli.dag import Pipeline
from dpg.cli.scheduler import Outcome, State, schedule

PARENTS = {
    "params": (),
    "ablation": ("params",),
    "train": ("params",),
    "checkpoint": ("train",),
    "probe": ("checkpoint",),
    "figures": ("probe", "ablation"),
}
ALL = frozenset(PARENTS)


def pipeline(stale=ALL) -> Pipeline:
    return Pipeline(PARENTS, frozenset(stale))


def run(stages: Pipeline, jobs: int, ends: dict[str, Outcome], stop_after: str = ""):
    """Run; return the outcomes, and the events in their order."""
    events: list[str] = []

    async def call(stage: str) -> Outcome:
        events.append(f"+{stage}")
        await asyncio.sleep(0)
        events.append(f"-{stage}")
        return ends.get(stage, Outcome(State.DONE, 1.0, altered=True))

    return asyncio.run(schedule(stages, jobs, call, lambda: f"-{stop_after}" in events)), events


def test_each_stage_starts_after_what_it_depends_on():
    outcomes, events = run(pipeline(), 2, {})
    for stage, parents in PARENTS.items():
        for parent in parents:
            assert events.index(f"-{parent}") < events.index(f"+{stage}")
    assert {outcome.state for outcome in outcomes.values()} == {State.DONE}


def test_one_at_a_time_and_the_longest_chain_first():
    _, events = run(pipeline(), 1, {})
    assert [event[1:] for event in events[::2]] == ["params", "train", "checkpoint", "ablation", "probe", "figures"]
    assert [event[1:] for event in events[::2]] == [event[1:] for event in events[1::2]]


def test_no_more_than_asked_run_together():
    wide = {"base": (), **{f"cell{i}": ("base",) for i in range(6)}}
    stages = Pipeline(wide, frozenset(wide))
    for jobs in (2, 3):
        _, events = run(stages, jobs, {})
        running = most = 0
        for event in events:
            running += 1 if event[0] == "+" else -1
            most = max(most, running)
        assert most == jobs


def test_a_stage_whose_outputs_stay_makes_nothing_below_it_run():
    outcomes, events = run(pipeline(stale={"params"}), 2, {"params": Outcome(State.DONE, 1.0, altered=False)})
    assert events == ["+params", "-params"]
    assert [outcomes[stage].state for stage in PARENTS] == [State.DONE, *[State.UNCHANGED] * 5]


def test_a_stage_whose_outputs_change_makes_what_reads_them_looked_at():
    ends = {"train": Outcome(State.DONE, 1.0, altered=True), "checkpoint": Outcome(State.UNCHANGED, 1.0)}
    outcomes, events = run(pipeline(stale={"train"}), 2, ends)
    assert events == ["+train", "-train", "+checkpoint", "-checkpoint"]
    assert outcomes["probe"] == outcomes["figures"] == Outcome(State.UNCHANGED)


def test_a_failure_stops_what_depends_on_it_and_names_itself():
    outcomes, events = run(pipeline(), 2, {"train": Outcome(State.FAILED, 1.0)})
    assert "-ablation" in events and "+checkpoint" not in events
    assert outcomes["checkpoint"] == outcomes["probe"] == outcomes["figures"] == Outcome(State.NOT_RUN, because="train")
    assert outcomes["ablation"].state is State.DONE


def test_nothing_starts_once_stopped():
    outcomes, events = run(pipeline(), 1, {}, stop_after="train")
    assert events == ["+params", "-params", "+train", "-train"]
    assert outcomes["checkpoint"] == outcomes["ablation"] == Outcome(State.NOT_RUN)
