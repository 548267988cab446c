"""The parts of an agent that checks need, and why one is missing."""

from collections.abc import Mapping

from dpg.agent.snapshot import MissingPartError, Snapshot, require
from dpg.agent.source import Part
from dpg.envs.make import action_space_of
from dpg.probes.collection import GRADIENT_PARTS, UPDATE_PARTS
from dpg.streams import measurable

# What needs the part, and what a snapshot says that it came without.
PARTS: Mapping[str, tuple[str, tuple[Part, ...]]] = {
    "value net": ("this check", ("value_net",)),
    "reward normaliser": ("this check", ("return_normalizer",)),
    "gradient": ("a gradient estimate", GRADIENT_PARTS),
    "policy update": ("a whole update", UPDATE_PARTS),
    "action bounds": ("this check", ()),
}


def lacking(snapshot: Snapshot, part: str) -> str:
    """Why the agent has no such part; empty if it has it."""
    recipe, (purpose, parts) = snapshot.recipe, PARTS[part]
    if part == "value net" and (reason := measurable.value_net(recipe.common)):
        return reason
    if part == "action bounds" and not action_space_of(recipe.env_id, recipe.modules).is_bounded():
        return f"the actions of {recipe.env_id} have no bounds"
    try:
        require(snapshot, purpose, *parts)
    except MissingPartError as error:
        return str(error).removeprefix(f"{snapshot}: ")
    return ""
