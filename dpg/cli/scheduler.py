"""The order of stages side by side: which may start, which need not run, which cannot."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from graphlib import TopologicalSorter

from dpg.cli.dag import Pipeline


class State(StrEnum):
    """How a stage ended."""

    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    NOT_RUN = "not run"


SUCCEEDED = (State.DONE, State.UNCHANGED)


@dataclass(frozen=True)
class Outcome:
    """The result of a stage.

    Attributes:
        state: its outcome.
        seconds: the duration of its command; None if none was needed.
        altered: its outputs may differ from before, so that DVC must check what depends on it.
        because: the stage whose failure kept it from running.
    """

    state: State
    seconds: float | None = None
    altered: bool = False
    because: str = ""


def without_command(pipeline: Pipeline, stage: str, outcomes: Mapping[str, Outcome]) -> Outcome | None:
    """The outcome of a stage that cannot run or need not, from those of the stages that it depends on; else None."""
    parents = {parent: outcomes[parent] for parent in pipeline.parents[stage]}
    if failed := [parent for parent, outcome in parents.items() if outcome.state not in SUCCEEDED]:
        causes = [outcome.because for outcome in parents.values() if outcome.because]
        return Outcome(State.NOT_RUN, because=(causes or failed)[0])
    if stage in pipeline.stale or any(outcome.altered for outcome in parents.values()):
        return None
    return Outcome(State.UNCHANGED)


async def schedule(
    pipeline: Pipeline, jobs: int, call: Callable[[str], Awaitable[Outcome]], stopped: Callable[[], bool]
) -> dict[str, Outcome]:
    """Call every stage that must run, at most `jobs` at a time, as soon as all that it depends on has succeeded.

    Once `stopped()`, no stage starts; running stages are awaited.
    """
    heights, order = pipeline.heights(), TopologicalSorter(pipeline.parents)
    order.prepare()
    outcomes: dict[str, Outcome] = {}
    running: dict[asyncio.Future[Outcome], str] = {}
    waiting: list[str] = []
    while True:
        while ready := order.get_ready():
            for stage in ready:
                if outcome := without_command(pipeline, stage, outcomes):
                    outcomes[stage] = outcome
                    order.done(stage)
                else:
                    waiting.append(stage)
        waiting.sort(key=lambda stage: -heights[stage])  # the longest chain first; the others fill its gaps
        while waiting and len(running) < jobs and not stopped():
            stage = waiting.pop(0)
            running[asyncio.ensure_future(call(stage))] = stage
        if not running:
            return {stage: outcomes.get(stage, Outcome(State.NOT_RUN)) for stage in pipeline.parents}
        for task in (await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED))[0]:
            stage = running.pop(task)
            outcomes[stage] = task.result()
            order.done(stage)
