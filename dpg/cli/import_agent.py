"""`dpg import`: an agent that another library trained, as a snapshot."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from dpg.runtime.console import stdout_to_stderr
from dpg.runtime.errors import UserError

SUFFIX = ".safetensors"
EPILOG = """
Examples:

- `dpg import logs/trpo/Hopper-v3_1 --env Hopper-v4`: the agent in a folder of RL Zoo, on a task that can be made here
- `dpg import model.zip --vecnormalize vecnormalize.pkl --env Hopper-v4 -o a.safetensors`: a model of Stable-Baselines3
- `dpg import ppo.cleanrl_model --env Hopper-v4 --vecnormalize normaliser.npz`: a state dictionary of CleanRL
- `dpg import agent.json`: an exchange file, which any training code can write

No code of the files is run. `dpg show`, `watch` and `landscape` take the snapshot.
docs/importing.md says what is read, and how to write it.
"""


class Activation(StrEnum):
    """What the hidden layers of a network may be."""

    tanh = "tanh"
    relu = "relu"
    elu = "elu"


class TimeLimit(StrEnum):
    """What a limit of time was in training."""

    bootstrap = "bootstrap"
    terminal = "terminal"


def import_agent(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A model's file, or the folder that holds it.")],
    env: Annotated[str | None, typer.Option(metavar="ID", help="The Gymnasium id of its task.")] = None,
    module: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A module that registers the task; may be repeated.")
    ] = None,
    vecnormalize: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its normaliser: a pickle of VecNormalize, or an .npz with mean and var."),
    ] = None,
    no_normaliser: Annotated[bool, typer.Option("--no-normaliser", help="It was trained without one.")] = False,
    gamma: Annotated[float | None, typer.Option(help="The discount, where the file lacks it or is wrong.")] = None,
    gae_lambda: Annotated[float | None, typer.Option(help="The lambda of its advantages.")] = None,
    n_steps: Annotated[int | None, typer.Option(help="Pairs of a batch from each environment.")] = None,
    n_envs: Annotated[int | None, typer.Option(help="Environments that a batch comes from.")] = None,
    time_limit: Annotated[TimeLimit | None, typer.Option(help="What a time limit was in training.")] = None,
    activation: Annotated[Activation | None, typer.Option(help="Of the hidden layers.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="SNAPSHOT",
            help="Default: named after the model, in this folder.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Read an agent of another library as a snapshot, without running any code of its files."""
    from dpg.agent.snapshot import write
    from dpg.agent.source import DESCRIPTIONS
    from dpg.importing.options import Options
    from dpg.importing.read import import_agent as read

    if output is not None:
        _check(output)
    options = Options(
        env_id=env,
        modules=tuple(module or ()),
        normalizer=vecnormalize,
        no_normalizer=no_normaliser,
        activation=activation.value if activation else None,
        gamma=gamma,
        gae_lambda=gae_lambda,
        n_steps=n_steps,
        n_envs=n_envs,
        time_limit=time_limit.value if time_limit else None,
    )
    with stdout_to_stderr():
        agent = read(path, options)
    source = agent.source
    assert source is not None
    target = output or Path(next(iter(source.files))).with_suffix(SUFFIX)
    _check(target)
    write(agent, target)
    lacks = [DESCRIPTIONS[part] for part in agent.lacks]
    if as_json:
        found = {"snapshot": str(target), "env": agent.recipe.env_id, **source.model_dump(), "lacks": list(agent.lacks)}
        typer.echo(json.dumps(found, indent=2))
        return
    rows = Table(Column(style="bold"), Column(overflow="fold"), box=None, show_header=False, padding=(0, 2, 0, 1))
    rows.add_row("snapshot", str(target))
    rows.add_row("agent", f"{source}, on {agent.recipe.env_id}")
    for heading, lines in (("read", list(source.files)), ("assumed", source.assumed), ("lacks", lacks)):
        for index, line in enumerate(lines):
            rows.add_row("" if index else heading, line)
    Console(highlight=False).print(rows)


def _check(target: Path) -> None:
    if target.suffix != SUFFIX:
        raise UserError(f"--output {target}: must end in {SUFFIX}")
    if target.is_dir():
        raise UserError(f"--output {target}: is a folder")
    if not target.parent.is_dir():
        raise UserError(f"--output {target}: there is no folder {target.parent}")
    if target.with_suffix(".json").exists():
        raise UserError(f"--output {target}: belongs to an exchange file; name the snapshot with --output")
