"""`dpg claims --before` and `--characteristics`: what can be decided, and how surely, before anything runs."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from dpg.cli import overrides
from dpg.runtime.errors import UserError

if TYPE_CHECKING:
    from dpg.report.claims.outlook import Outlook
    from dpg.runtime.schema import Params

PARAMS = Path("params.yaml")


def forecast(set_param: Sequence[str]) -> list[dict[str, Any]]:
    """Every claim under the parameters: whether it can be decided, what is missing, what would do, and in more pairs.

    Raises:
        UserError: the parameters have mistakes, or a task cannot be made.
    """
    from dpg.planning.cells import tasks_of
    from dpg.report.claims.outlook import outlooks

    params = overrides.read(PARAMS, set_param)
    limits = {name: task.time_limit for name, task in tasks_of(params).items()}
    before = num_pairs(params)
    return [
        {
            "id": each.claim.id,
            "claim": each.claim.statement,
            "can_be_decided": not each.missing,
            "provided": each.claim.proviso,
            "missing": [missing.what for missing in each.missing],
            "set_param": as_overrides(each.changes or {}),
            "more_pairs": _more_pairs(each, set_param, before),
        }
        for each in outlooks(params, ruled_out(params, limits))
    ]


def ruled_out(params: "Params", limits: Mapping[str, int | None]) -> dict[str, str]:
    """The stages that cannot measure anything on any task, with the first task's reason."""
    from dpg.streams import measurable

    by_task = [measurable.ruled_out(params, env, limit) for env, limit in limits.items()]
    return {stage: reason for stage, reason in by_task[0].items() if all(stage in each for each in by_task)}


def num_pairs(params: "Params") -> int:
    """The pairs of the whole pipeline from scratch."""
    from dpg.planning import stages
    from dpg.planning.cells import tasks_of

    return sum(work.pairs for work in stages.stages(params, tasks_of(params)))


def _more_pairs(outlook: "Outlook", set_param: Sequence[str], before: int) -> int | None:
    """The additional pairs of the changes; None without changes, or if they alone are not valid parameters."""
    if not outlook.changes:
        return None
    try:
        return num_pairs(overrides.read(PARAMS, [*set_param, *as_overrides(outlook.changes)])) - before
    except UserError:
        return None


def as_overrides(changes: Mapping[str, Any]) -> list[str]:
    """Changes as `-S` takes them."""
    return [f"{name}={_text(value)}" for name, value in changes.items()]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def lines(found: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """Some lines for each claim: whether it can be decided, and if not, what would do. Do not wrap: users copy them."""
    for each in found:
        answer, style = ("yes", "green") if each["can_be_decided"] else ("no", "yellow")
        yield Text.assemble(each["id"], "  ", (f"{answer:3}", style), "  ", each["claim"])
        if each["can_be_decided"] and each["provided"]:
            yield Text(f"         if {each['provided']}")
        for missing in each["missing"]:
            yield Text(f"         {missing}", style)
        if each["set_param"]:
            more = "" if each["more_pairs"] is None else f"   ({each['more_pairs']:+,} pairs)"
            options = " ".join(f"-S {shlex.quote(text)}" for text in each["set_param"])
            yield Text.assemble(f"         {options}", (more, "dim"))
