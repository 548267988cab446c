"""`dpg import`: an agent that another library trained, as a snapshot."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from dpg.agent.source import DESCRIPTIONS
from dpg.cli import output
from dpg.cli.output import AsJson
from dpg.runtime.console import stdout_to_stderr
from dpg.runtime.errors import UserError

SUFFIX = ".safetensors"
EPILOG = """
Examples:

- `dpg import logs/trpo/Hopper-v3_1 --env Hopper-v4`: the agent in a folder of RL Zoo, on a task that can be made here
- `dpg import model.zip --vecnormalize vecnormalize.pkl --env Hopper-v4 -o a.safetensors`: a model of Stable-Baselines3
- `dpg import ppo.cleanrl_model --env Hopper-v4 --vecnormalize normaliser.npz`: a state dictionary of CleanRL
- `dpg import agent.json`: an exchange file, which any training code can write

No code of the files is run. `dpg show`, `watch`, `landscape` and `diagnose` take the snapshot.
docs/importing.md says what is read, and how to write it.
"""


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
    time_limit: Annotated[
        Literal["bootstrap", "terminal"] | None, typer.Option(help="What a time limit was in training.")
    ] = None,
    activation: Annotated[Literal["tanh", "relu", "elu"] | None, typer.Option(help="Of the hidden layers.")] = None,
    target: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="SNAPSHOT",
            help="Default: a new file in this folder, named after the model.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read an agent of another library as a snapshot, without running any code of its files."""
    from dpg.agent.snapshot import write
    from dpg.importing.options import Options
    from dpg.importing.read import import_agent as read

    if target is not None:
        _check(target)
    options = Options(
        env_id=env,
        modules=tuple(module or ()),
        normalizer=vecnormalize,
        no_normalizer=no_normaliser,
        activation=activation,
        gamma=gamma,
        gae_lambda=gae_lambda,
        n_steps=n_steps,
        n_envs=n_envs,
        time_limit=time_limit,
    )
    with stdout_to_stderr():
        agent = read(path, options)
    source, env_id = agent.source, agent.recipe.env_id
    assert source is not None
    if target is None:
        target = Path(next(iter(source.files))).with_suffix(SUFFIX)
        _check(target)
        if target.exists():  # perhaps another library's, of the same name
            raise UserError(f"{target}: already exists; name the snapshot with --output")
    write(agent, target)
    if as_json:
        output.echo_json({"snapshot": str(target), "env": env_id, **source.model_dump(), "lacks": list(agent.lacks)})
        return
    lists = {"read": [*source.files], "assumed": source.assumed, "lacks": [DESCRIPTIONS[part] for part in agent.lacks]}
    output.echo(output.facts({"snapshot": str(target), "agent": f"{source}, on {env_id}", **lists}.items()))


def _check(target: Path) -> None:
    output.check_file(target, SUFFIX)
    if target.with_suffix(".json").exists():
        raise UserError(f"--output {target}: belongs to an exchange file; name the snapshot with --output")
