"""`dpg show`: what a snapshot is, and the returns of its agent."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from dpg.agent.source import DESCRIPTIONS
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
    seed: Annotated[int, typer.Option(min=0, help="Another draws other episodes.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Say what a snapshot is, and what its agent returns in fresh episodes.

    Returns are raw and undiscounted; intervals are at 95 % and resample episodes.
    """
    from dpg import api

    ways = {"sampled": False, "deterministic": True} if episodes else {}
    with stdout_to_stderr():
        policy = api.load_policy(path)
        returns = {name: api.evaluate(policy, episodes, seed, deterministic=way) for name, way in ways.items()}
    if as_json:
        found = [{"actions": name, **_summary(each)} for name, each in returns.items()]
        typer.echo(json.dumps({**facts(policy.snapshot), "returns": found}, indent=2))
        return
    out = Console(highlight=False)
    out.print(_facts_table(policy.snapshot))
    if returns:
        out.print(_returns_table(returns))


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


def _facts_table(agent: "snapshot.Snapshot") -> Table:
    known = facts(agent)
    rows = Table(Column(style="bold"), Column(overflow="fold"), box=None, show_header=False, padding=(0, 2, 0, 1))
    rows.add_row("task", known["env"])
    rows.add_row("algorithm", f"{known['algorithm']}{', not redone here' * ('policy_update' in agent.lacks)}")
    rows.add_row("agent", f"{known['agent']}, of seed {known['seed']}")
    rows.add_row("iteration", f"{known['iteration']} of {known['iterations']}, after {known['pairs']:,} pairs")
    for net in ("policy", "value"):
        layers = "-".join(map(str, known[f"{net}_layers"]))
        rows.add_row(net, f"{layers} {known['activation']}, {known[f'{net}_parameters']:,} parameters")
    for section, values in known["parameters"].items():
        rows.add_row(section, ", ".join(f"{name} {json.dumps(value)}" for name, value in values.items()))
    if agent.source is not None:
        rows.add_row(
            "batch", f"{known['num_envs']} streams of {agent.recipe.common.timesteps:,} pairs ({known['streams']})"
        )
        rows.add_row("trained by", f"{agent.source} ({', '.join(agent.source.files)})")
        for index, line in enumerate(agent.source.assumed):
            rows.add_row("" if index else "assumed", line)
        if agent.lacks:
            rows.add_row("lacks", ", ".join(DESCRIPTIONS[part] for part in agent.lacks))
    return rows


def _returns_table(returns: "dict[str, Returns]") -> Table:
    numbers = [Column(name, justify="right") for name in ("episodes", "mean return", "95 % interval", "mean length")]
    rows = Table("actions", *numbers, box=SIMPLE_HEAD)
    for name, each in returns.items():
        found = _summary(each)
        interval = f"[{found['low']:,.1f}, {found['high']:,.1f}]" if found["low"] is not None else "-"
        rows.add_row(
            name, str(found["episodes"]), f"{found['mean_return']:,.1f}", interval, f"{found['mean_length']:,.0f}"
        )
    return rows


def _summary(returns: "Returns") -> dict[str, Any]:
    """As in `evaluation.csv`; one episode has no interval."""
    interval = returns.interval if len(returns.return_) > 1 else returns.interval._replace(low=None, high=None)
    return {
        "episodes": len(returns.return_),
        "mean_return": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "mean_length": float(returns.length.mean()),
    }
