"""The order of stages side by side: which may start, which need not run, which cannot."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

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


def advance(
    pipeline: Pipeline, outcomes: Mapping[str, Outcome], running: Collection[str]
) -> tuple[dict[str, Outcome], list[str]]:
    """The outcomes that need no command, and the stages that may start."""
    known = dict(outcomes)
    ready: list[str] = []
    for stage, parents in pipeline.parents.items():
        if stage in known or stage in running or not all(parent in known for parent in parents):
            continue
        missing = [parent for parent in parents if known[parent].state not in SUCCEEDED]
        if missing:
            cause = next((known[parent].because for parent in missing if known[parent].because), missing[0])
            known[stage] = Outcome(State.NOT_RUN, because=cause)
        elif stage in pipeline.stale or any(known[parent].altered for parent in parents):
            ready.append(stage)
        else:
            known[stage] = Outcome(State.UNCHANGED)
    return {stage: outcome for stage, outcome in known.items() if stage not in outcomes}, ready


async def schedule(
    pipeline: Pipeline, jobs: int, call: Callable[[str], Awaitable[Outcome]], stopped: Callable[[], bool]
) -> dict[str, Outcome]:
    """Call every stage that must run, at most `jobs` at a time, as soon as all that it depends on has succeeded.

    Once `stopped()`, no stage starts; running stages are awaited.
    """
    heights = pipeline.heights()
    outcomes: dict[str, Outcome] = {}
    running: dict[asyncio.Future[Outcome], str] = {}
    while True:
        settled, ready = advance(pipeline, outcomes, running.values())
        outcomes |= settled
        if not stopped():
            # Longest chain first; the others fill its gaps.
            ready.sort(key=lambda stage: -heights[stage])
            for stage in ready[: jobs - len(running)]:
                running[asyncio.ensure_future(call(stage))] = stage
        if not running:
            break
        finished, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in finished:
            outcomes[running.pop(task)] = task.result()
    return {stage: outcomes.get(stage, Outcome(State.NOT_RUN)) for stage in pipeline.parents}
