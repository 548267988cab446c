"""The parts of an agent that checks need, and why one is missing."""

from collections.abc import Callable, Mapping

from dpg.agent.snapshot import MissingPartError, Snapshot, require
from dpg.agent.source import Part
from dpg.envs.make import action_space_of
from dpg.probes.collection import GRADIENT_PARTS, UPDATE_PARTS
from dpg.streams import measurable


def lacking(snapshot: Snapshot, part: str) -> str:
    """Why the agent has no such part; empty if it has it."""
    return PARTS[part](snapshot)


def _came_without(purpose: str, *parts: Part) -> Callable[[Snapshot], str]:
    """What a snapshot itself says that it lacks."""

    def reason(snapshot: Snapshot) -> str:
        try:
            require(snapshot, purpose, *parts)
        except MissingPartError as error:
            return str(error).removeprefix(f"{snapshot}: ")
        return ""

    return reason


def _value_net(snapshot: Snapshot) -> str:
    return measurable.value_net(snapshot.recipe.common) or _came_without("this check", "value_net")(snapshot)


def _action_bounds(snapshot: Snapshot) -> str:
    recipe = snapshot.recipe
    space = action_space_of(recipe.env_id, recipe.modules)
    return "" if space.is_bounded() else f"the actions of {recipe.env_id} have no bounds"


PARTS: Mapping[str, Callable[[Snapshot], str]] = {
    "value net": _value_net,
    "reward normaliser": _came_without("this check", "return_normalizer"),
    "gradient": _came_without("a gradient estimate", *GRADIENT_PARTS),
    "policy update": _came_without("a whole update", *UPDATE_PARTS),
    "action bounds": _action_bounds,
}
