"""`dpg watch`: a video of an agent."""

from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dpg.cli import output
from dpg.cli.snapshots import Snapshot
from dpg.runtime.console import stdout_to_stderr
from dpg.runtime.errors import UserError
from dpg.runtime.ids import file_name

if TYPE_CHECKING:
    import numpy as np

    from dpg.api import Policy

FRAMES_A_SECOND = 25  # a GIF's delays are multiples of 10 ms
SUFFIXES = (".gif", ".mp4")
EPILOG = """
Examples:

- `dpg watch data/train/Hopper-v4/ppo/agent00-iteration00100.safetensors`: one episode, as a GIF in this folder
- `dpg watch --deterministic -o hopper.mp4 SNAPSHOT`: without noise; needs `pip install imageio-ffmpeg`
- `MUJOCO_GL=osmesa dpg watch SNAPSHOT`: drawn by the processor alone, where EGL is not installed

The episode is the first of those that `dpg show` runs from the same seed.
"""


def watch(
    path: Snapshot,
    video: Annotated[
        Path | None,
        typer.Option("--output", "-o", help=".gif or .mp4; default: named after the snapshot.", show_default=False),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="The longest that the video may be, in the task's time.")
    ] = 10.0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws another episode.")] = 0,
    deterministic: Annotated[bool, typer.Option("--deterministic", help="The policy's mean, not samples.")] = False,
) -> None:
    """Make a video of a snapshot's agent in one episode, drawn off-screen."""
    from dpg.agent.snapshot import load
    from dpg.cli import rendering

    rendering.prepare(load(path).recipe.env_id)
    from dpg import api
    from dpg.runtime.outputs import replacing

    with stdout_to_stderr():
        policy = api.load_policy(path)
    agent = policy.snapshot
    target = video or Path(f"{file_name(agent.recipe.env_id)}-{agent.algorithm}-{path.stem}.gif")
    output.check_file(target, *SUFFIXES)
    if target.suffix == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise UserError(f"--output {target}: MP4 needs `python -m pip install imageio-ffmpeg`; GIF needs nothing more")
    with output.waiting("drawing"), stdout_to_stderr():
        frames, rate, length, return_ = film(policy, seconds, seed, deterministic=deterministic)
        with replacing(target) as draft:
            write(frames, rate, draft)
    typer.echo(f"{target}: {agent}, {length} pairs, return {return_:,.1f}")


def film(
    policy: "Policy", seconds: float, seed: int, *, deterministic: bool
) -> "tuple[list[np.ndarray], float, int, float]":
    """Frames of an episode, and frames a second; its length in pairs and its return, as far as it ran.

    Raises:
        EnvError: the task or this machine cannot render, or the episode has values that are not finite, or no end.
    """
    from dpg.api import episode_seed
    from dpg.cli import rendering
    from dpg.streams import episodes

    agent, frames, steps = policy.snapshot, list["np.ndarray"](), count()
    envs, rate = rendering.make_rendered(agent.recipe.env_id, seconds, agent.recipe.modules)
    every = max(1, round(rate / FRAMES_A_SECOND))

    def watch() -> None:
        if next(steps) % every == 0:
            frames.append(rendering.picture(envs.envs[0]))

    options = {"clip_actions": agent.recipe.common.clip_actions, "deterministic": deterministic}
    found = episodes.run(agent.state, envs, [[episode_seed(agent, seed, 0)]], **options, watch=watch)
    envs.close()
    return frames, rate / every, int(found.length[0, 0]), float(found.return_[0, 0])


def write(frames: "list[np.ndarray]", rate: float, target: Path) -> None:
    """Write a video file in the format of its suffix.

    Raises:
        UserError: the writer of MP4 is not installed.
    """
    import imageio.v3 as imageio

    if target.suffix == ".gif":
        imageio.imwrite(target, frames, duration=1000 / rate, loop=0)
        return
    imageio.imwrite(target, frames, fps=rate, plugin="FFMPEG", macro_block_size=2)
