"""`dpg show`: what a snapshot is, and the returns of its agent."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from dpg.agent.source import DESCRIPTIONS
from dpg.cli import output
from dpg.cli.output import AsJson
from dpg.cli.snapshots import Snapshot
from dpg.runtime.console import stdout_to_stderr

if TYPE_CHECKING:
    from dpg.agent import snapshot
    from dpg.api import Returns

EPILOG = """
Examples:

- `dpg show data/train/Hopper-v4/ppo/agent00-iteration00100.safetensors`: an agent at the end of its training
- `dpg show -n 100 SNAPSHOT`: a narrower interval
- `dpg show -n 0 SNAPSHOT`: what it is, without running it
"""


def show(
    path: Snapshot,
    episodes: Annotated[int, typer.Option("--episodes", "-n", min=0, help="Whole episodes to run.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other episodes.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Describe a snapshot, and measure its agent's returns in fresh episodes.

    Returns are raw and undiscounted; intervals are at 95 % and resample episodes.
    """
    from dpg import api

    ways = {"sampled": False, "deterministic": True} if episodes else {}
    with stdout_to_stderr():
        policy = api.load_policy(path)
        returns = [
            {"actions": name, **_summary(api.evaluate(policy, episodes, seed, deterministic=way))}
            for name, way in ways.items()
        ]
    if as_json:
        output.echo_json({**facts(policy.snapshot), "returns": returns})
        return
    output.echo(output.facts(_described(policy.snapshot)), *([_returns_table(returns)] if returns else []))


def facts(agent: "snapshot.Snapshot") -> dict[str, Any]:
    """The contents of a snapshot's header."""
    recipe, architecture = agent.recipe, agent.state.architecture
    parameters = {"common": recipe.common.model_dump(mode="json")}
    if "policy_update" not in agent.lacks:
        parameters[recipe.algorithm] = recipe.config.model_dump(mode="json")
    return {
        "env": recipe.env_id,
        "algorithm": agent.algorithm,
        "agent": agent.agent,
        "iteration": agent.iteration,
        "iterations": recipe.iterations,
        "pairs": agent.iteration * recipe.batch_pairs,
        "seed": recipe.seed,
        "policy_layers": [architecture.obs_dim, *architecture.policy_hidden, architecture.action_dim],
        "policy_parameters": architecture.policy_layout.size,
        "value_layers": [architecture.obs_dim, *architecture.value_hidden, 1],
        "value_parameters": architecture.value_layout.size,
        "parameters": parameters,
        "activation": architecture.activation,
        "num_envs": recipe.num_envs,
        "streams": recipe.streams,
        "source": agent.source and agent.source.model_dump(mode="json"),
        "lacks": list(agent.lacks),
    }


def _described(agent: "snapshot.Snapshot") -> Iterator[tuple[str, str | Sequence[str]]]:
    """The same for a reader."""
    known, source = facts(agent), agent.source
    yield "task", known["env"]
    yield "algorithm", f"{known['algorithm']}{', not redone here' * ('policy_update' in agent.lacks)}"
    yield "agent", f"{known['agent']}, of seed {known['seed']}"
    yield "iteration", f"{known['iteration']} of {known['iterations']}, after {known['pairs']:,} pairs"
    for net in ("policy", "value"):
        layers = "-".join(map(str, known[f"{net}_layers"]))
        yield net, f"{layers} {known['activation']}, {known[f'{net}_parameters']:,} parameters"
    for section, values in known["parameters"].items():
        yield section, ", ".join(f"{name} {json.dumps(value)}" for name, value in values.items())
    if source is not None:
        timesteps = agent.recipe.common.timesteps
        yield "batch", f"{known['num_envs']} streams of {timesteps:,} pairs ({known['streams']})"
        yield "trained by", f"{source} ({', '.join(source.files)})"
        yield "assumed", source.assumed
        yield "lacks", ", ".join(DESCRIPTIONS[part] for part in agent.lacks) or ()


def _returns_table(returns: "Sequence[dict[str, Any]]") -> Table:
    rows = output.table("actions", ">episodes", ">mean return", ">95 % interval", ">mean length")
    for each in returns:
        interval = f"[{each['low']:,.1f}, {each['high']:,.1f}]" if each["low"] is not None else "-"
        numbers = (f"{each['mean_return']:,.1f}", interval, f"{each['mean_length']:,.0f}")
        rows.add_row(each["actions"], str(each["episodes"]), *numbers)
    return rows


def _summary(returns: "Returns") -> dict[str, Any]:
    """As in `evaluation.csv`; one episode has no interval."""
    several = len(returns.return_) > 1
    return {
        "episodes": len(returns.return_),
        "mean_return": returns.mean,
        "low": returns.interval.low if several else None,
        "high": returns.interval.high if several else None,
        "mean_length": float(returns.length.mean()),
    }
