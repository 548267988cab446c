"""From an agent's files to a snapshot: read as data, checked against the task, measured where they say too little."""

import reprlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from dpg.agent.snapshot import Snapshot
from dpg.envs.make import EnvError, spaces_of
from dpg.importing import cleanrl, exchange, folder, normalizer, sb3, value_unit
from dpg.importing.agent import ForeignAgent, snapshot_of
from dpg.importing.errors import AgentImportError, one_line
from dpg.importing.folder import AgentFiles
from dpg.importing.options import Options

SHORT = reprlib.Repr()  # values that YAML refers to again and again have no end in full
SHORT.maxstring = SHORT.maxother = 100
NO_NORMALIZER = "no normaliser of observations"


def import_agent(path: Path, options: Options) -> Snapshot:
    """The snapshot of the agent in a file or folder. The same files and options give the same snapshot.

    Raises:
        UnsafeFileError: a file names code; nothing of it was run.
        AgentImportError: the files are not whole, are no agent of a known kind, or do not fit the task.
        EnvError: the task cannot be made.
    """
    files = folder.find(path)
    agent = _read(files, options)
    agent = replace(
        agent,
        training=replace(agent.training, **options.training()),
        activation=options.activation or agent.activation,
    )
    if given := {**options.training(), **({"activation": options.activation} if options.activation else {})}:
        agent = agent.assuming(", ".join(f"{name} {value}" for name, value in given.items()) + ": as given")
    _check_task(agent, options.modules)
    snapshot = snapshot_of(agent, options.modules)
    clip = agent.reward.clip if agent.reward else agent.reward_clip
    with (
        np.errstate(all="ignore"),
        threadpool_limits(1),
    ):  # what overflows ends in an error; several threads are slower on so few observations
        return value_unit.settle(snapshot, agent.rewards_scaled, clip, has_statistics=agent.reward is not None)


def _read(files: AgentFiles, options: Options) -> ForeignAgent:
    model = files.model
    if options.normalizer is not None and options.no_normalizer:
        raise AgentImportError("--vecnormalize and --no-normaliser exclude each other")
    if model.suffix in {exchange.SUFFIX, ".json"}:
        if options.normalizer is not None or options.no_normalizer:
            raise AgentImportError(f"{model}: an exchange file has its normaliser inside")
        return exchange.read(model, options.env_id)
    if model.suffix in cleanrl.SUFFIXES:
        agent = cleanrl.read(model, _env_id(files, options))
    else:
        _check_wrappers(files)
        agent = sb3.read(model, _env_id(files, options), files.config)
    if options.no_normalizer:
        return replace(agent.assuming(NO_NORMALIZER), rewards_scaled=False)
    source = options.normalizer or files.normalizer
    if source is not None:
        return _with_normalizer(agent, source)
    if agent.without_normalizer:
        raise AgentImportError(f"{model}: {agent.without_normalizer}")
    return agent.assuming(NO_NORMALIZER)


def _with_normalizer(agent: ForeignAgent, source: Path) -> ForeignAgent:
    found = normalizer.read(source)
    size, expected = 0 if found.obs is None else found.obs.moments.mean.size, len(agent.policy["w0"])
    if found.obs is not None and size != expected:
        raise AgentImportError(f"{source}: normalises {size} numbers; the policy sees {expected}")
    if found.reward is not None and (size := found.reward.moments.mean.size) != 1:
        raise AgentImportError(f"{source}: has the statistics of {size} returns; those of one are expected")
    gamma = agent.training.gamma
    if found.gamma not in {None, gamma}:
        agent = agent.assuming(f"rewards were scaled with gamma {found.gamma:g}, returns discounted by {gamma:g}")
    files = {**agent.source.files, source.name: found.digest}
    return replace(
        agent,
        source=agent.source.model_copy(update={"files": files}),
        obs=found.obs,
        reward=found.reward,
        rewards_scaled=agent.rewards_scaled or found.rewards_scaled,
    )


def _env_id(files: AgentFiles, options: Options) -> str:
    if options.env_id:
        return options.env_id
    kwargs = files.arguments.get("env_kwargs") or files.config.get("env_kwargs") or files.env_kwargs
    if kwargs:
        raise AgentImportError(
            f"{files.model}: was trained with env_kwargs {SHORT.repr(kwargs):.100}; "
            "register such a task in a module, and name both with --module and --env"
        )
    named = files.arguments.get("env")
    if not isinstance(named, str):
        raise AgentImportError(f"{files.model}: does not say which task it was trained on; name it with --env ID")
    return named


def _check_wrappers(files: AgentFiles) -> None:
    for name in ("env_wrapper", "vec_env_wrapper", "frame_stack"):
        if found := files.config.get(name):
            raise AgentImportError(
                f"{files.model}: trained with {name} {SHORT.repr(found):.100}; "
                "observations as the task gives them are expected"
            )


def _check_task(agent: ForeignAgent, modules: tuple[str, ...]) -> None:
    """Refuse an agent whose observations or actions are not those of the task.

    Raises:
        AgentImportError: the message has both sizes, or both bounds.
        EnvError: the task cannot be made.
    """
    model = next(iter(agent.source.files))
    try:
        obs_space, action_space = spaces_of(agent.env_id, modules)
    except EnvError as error:
        raise EnvError(one_line(f"{model}: {error}; another task is named with --env ID")) from error
    sizes = {
        "observations": (len(agent.policy["w0"]), obs_space),
        "actions": (len(agent.policy["log_std"]), action_space),
    }
    for what, (own, space) in sizes.items():
        if own != space.shape[0]:
            raise AgentImportError(
                f"{model}: {what} have {own} numbers, in {agent.env_id} {space.shape[0]}: another task or version, "
                "or a wrapper (frame stack, time feature); name the task with --env ID"
            )
    if agent.action_bounds is not None:
        own, task = np.stack(agent.action_bounds), np.stack([action_space.low, action_space.high])
        if own.shape == task.shape and not np.allclose(own, task, rtol=1e-4, atol=1e-6):
            raise AgentImportError(
                f"{model}: actions lie in {_bounds(own)}, in {agent.env_id} in {_bounds(task)}: "
                "another task, or a wrapper"
            )


def _bounds(bounds: np.ndarray) -> str:
    return f"[{bounds[0].min():g}, {bounds[1].max():g}]"
