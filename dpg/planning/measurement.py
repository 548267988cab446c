"""Small real shards of one cell, run in a process of their own: what they took. `python -m dpg.planning.measurement`.

A request comes as JSON on standard input, a reply goes as JSON to standard output. Shards are miniatures: fewer pairs
an iteration, minibatches of nearly the true size, and as many agents, streams or environments side by side as in the
true ones. Kinds run in the order of what they import, so that each is measured in a process that holds what a worker of
its stage holds.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from dpg.agent.snapshot import Recipe
from dpg.planning import memory
from dpg.runtime.errors import UserError
from dpg.runtime.schema import TrueValue

# In the order of what they import: whole episodes do without PyTorch.
Kind = Literal["episodes", "train", "gradient", "update", "value", "fit", "states", "baselines", "plane"]
Amounts = tuple[int | float, ...]  # of work, in the units of a kind
LEAST_TIMESTEPS = 100
SAMPLE_SEED = 0


class Request(BaseModel):
    """A cell, and how wide the widest shard of each kind is: agents, streams, held-out streams, environments.

    `sizes` are those of the gradient estimates, `baseline_sizes` those that baselines are compared by, `fit` is how the
    true value function is fitted. `seconds` is what the largest shard of a kind may take, roughly.
    """

    model_config = ConfigDict(frozen=True)

    recipe: Recipe
    widths: dict[Kind, int]
    sizes: tuple[int, ...] = ()
    baseline_sizes: tuple[int, ...] = ()
    fit: TrueValue | None = None
    seconds: float = 0.25


class Sample(BaseModel):
    """One shard: its work in the units of its kind, the pairs that it held at once, and what it took.

    `seconds` are of one core; `peak` is the most that the process was resident with during the shard, in bytes.
    """

    model_config = ConfigDict(frozen=True)

    work: Amounts
    pairs: int
    seconds: float
    peak: int


class Measured(BaseModel):
    """Some shards of one kind; `idle` is what the process was resident with before the first, in bytes."""

    model_config = ConfigDict(frozen=True)

    samples: list[Sample]
    idle: int


class Reply(BaseModel):
    """What was measured, by kind, and the core seconds that a worker's start and imports take."""

    model_config = ConfigDict(frozen=True)

    kinds: dict[Kind, Measured]
    start_seconds: float


@dataclass(frozen=True)
class Shape:
    """The size of a miniature: agents, streams or environments side by side, timesteps, finer minibatches or not."""

    width: int
    timesteps: int
    finer: bool = False


# Runs a shard of some shape, and says how much work it was and how many pairs it held at once.
Run = Callable[[Shape], tuple[Amounts, int]]


def measure(request: Request) -> Reply:
    """Run shards of every kind that is asked for."""
    from dpg.planning.miniatures import prepare

    start_seconds = time.process_time()
    kinds: dict[Kind, Measured] = {}
    for kind in get_args(Kind):
        if kind in request.widths:
            began = time.process_time()
            run = prepare(kind, request)
            start_seconds += time.process_time() - began
            kinds[kind] = _measure_kind(run, request.widths[kind], request)
    return Reply(kinds=kinds, start_seconds=start_seconds)


def _measure_kind(run: Run, width: int, request: Request) -> Measured:
    """A narrow shard, a short one and a long one, as large as the time allows and the true ones are."""
    memory.forget_peak()
    idle = memory.resident()
    run(Shape(1, LEAST_TIMESTEPS // 2))  # the first loads, compiles and fills caches
    rate = LEAST_TIMESTEPS / _sample(run, Shape(width, LEAST_TIMESTEPS)).seconds
    most = max(LEAST_TIMESTEPS, request.recipe.common.timesteps)
    longest = min(max(LEAST_TIMESTEPS, round(rate * request.seconds)), most)
    narrow = Shape(max(1, width // 4), longest)
    shapes = [narrow, Shape(width, longest // 2, finer=True), Shape(width, longest)]
    return Measured(samples=[_sample(run, shape) for shape in shapes], idle=idle)


def _sample(run: Run, shape: Shape) -> Sample:
    memory.forget_peak()
    started = time.process_time()
    work, pairs = run(shape)
    return Sample(work=work, pairs=pairs, seconds=time.process_time() - started, peak=memory.peak())


def main() -> None:
    """Read a request, measure on one thread, reply."""
    request = Request.model_validate_json(sys.stdin.read())
    reply, sys.stdout = sys.stdout, sys.stderr  # a task's own module may print
    try:
        text = measure(request).model_dump_json()
    except UserError as error:
        sys.exit(f"error: {error}")
    print(text, file=reply)


if __name__ == "__main__":
    main()
