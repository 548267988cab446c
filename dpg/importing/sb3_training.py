"""How Stable-Baselines3 trained an agent: its settings in the laboratory's words, and the state of its optimiser."""

import math
import re
import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dpg.agent.source import Part
from dpg.importing import archive
from dpg.importing.agent import UPDATE_PARTS, AdamMoments, Arrays, Training
from dpg.importing.errors import AgentImportError

SHORT = reprlib.Repr()
DEFAULT_CLIP = 0.2
NUMBER = r"([+-]?\d+\.?\d*(?:[eE][+-]?\d+)?)"
CONSTANT = re.compile(rf"ConstantSchedule\(val={NUMBER}\)")
LINEAR = re.compile(rf"LinearSchedule\(start={NUMBER}, end={NUMBER}, end_fraction={NUMBER}\)")
ZOO_LINEAR = re.compile(rf"lin_{NUMBER}")
LARGEST = 10**15  # of whole numbers: pairs, and whatever counts them
DEFAULT_RATES = {"PPO": 3e-4, "TRPO": 1e-3, "A2C": 7e-4}


def finite(found: object) -> float | None:
    """A finite number; None for anything else, and for an integer that no float can hold."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        return float(found) if math.isfinite(found) else None
    except OverflowError:
        return None


@dataclass(frozen=True)
class Settings:
    """The JSON of a model and, for what it only holds as a pickle, RL Zoo's hyperparameters and the optimiser."""

    data: dict[str, Any]
    config: dict[str, Any]
    optimizer: dict[Any, Any]
    source: str

    def number(self, name: str, default: float | int | None = None) -> float:
        """A number of the JSON.

        Raises:
            AgentImportError: it is missing, or something else.
        """
        given = self.data.get(name, default)
        if (number := finite(given)) is None:
            raise AgentImportError(f"{self.source}: {name} = {SHORT.repr(given):.60}: a number is expected")
        return number

    def whole(self, name: str, default: int | None = None, *, least: int = 0) -> int:
        """A whole number of the JSON, at least `least`.

        Raises:
            AgentImportError: it is missing, or something else.
        """
        number = self.number(name, default)
        if not least <= number <= LARGEST or number != int(number):
            raise AgentImportError(f"{self.source}: {name} = {number:.12g}: a whole number from {least} is expected")
        return int(number)

    def scheduled(self, name: str) -> float | None:
        """A schedule's value where training stopped; None if nothing readable holds it."""
        found, left = self.data.get(name), max(0.0, self.number("_current_progress_remaining", 1.0))
        if (number := finite(found)) is not None:
            return number
        text = str(found.get("value_schedule", "")) if isinstance(found, dict) else ""
        if constant := CONSTANT.fullmatch(text):
            return float(constant[1])
        if linear := LINEAR.fullmatch(text):
            start, end, fraction = map(float, linear.groups())
            return end if 1 - left >= fraction else start + (1 - left) * (end - start) / fraction
        zoo = self.config.get(name)
        if isinstance(zoo, str) and (falling := ZOO_LINEAR.fullmatch(zoo)):
            return float(falling[1]) * left
        return finite(zoo)

    def group(self, name: str) -> float | None:
        """A setting of the optimiser."""
        groups = self.optimizer.get("param_groups")
        found = groups[0].get(name) if isinstance(groups, list) and groups and isinstance(groups[0], dict) else None
        return finite(found)


def training(algorithm: str, settings: Settings) -> tuple[Training, tuple[Part, ...], list[str]]:
    """How an agent was trained, the parts that are not known, and what is taken for granted.

    Raises:
        AgentImportError: a setting is missing, or not a number.
    """
    timesteps, num_envs = settings.whole("n_steps", least=1), settings.whole("n_envs", least=1)
    describe = {"PPO": _ppo, "TRPO": _trpo, "A2C": _a2c}[algorithm]
    update, assumed = describe(settings, timesteps * num_envs)
    seed = settings.data.get("seed")
    found = Training(
        timesteps=timesteps,
        num_envs=num_envs,
        gamma=settings.number("gamma"),
        gae_lambda=settings.number("gae_lambda"),
        algorithm="trpo" if algorithm == "TRPO" else "ppo",
        update=update,
        pairs=settings.whole("num_timesteps", 0),
        total_pairs=settings.whole("_total_timesteps", 0),
        seed=seed if isinstance(seed, int) and seed >= 0 else 0,
    )
    return found, UPDATE_PARTS if algorithm == "A2C" else (), assumed


def _value_fit(settings: Settings, batch: int, algorithm: str, epochs: int) -> tuple[dict[str, Any], list[str]]:
    rate = settings.group("lr")
    rate = settings.scheduled("learning_rate") if rate is None else rate
    default = DEFAULT_RATES[algorithm]
    assumed = [] if rate is not None else [f"learning rate {default:g}: the file holds it as a pickle only"]
    size = min(batch, settings.whole("batch_size", batch, least=1))
    eps = settings.group("eps")
    return {
        "value_lr": default if rate is None else rate,
        "value_epochs": epochs,
        "value_minibatches": math.ceil(batch / size),
        "adam_eps": 1e-5 if eps is None else eps,
    }, assumed


def _ppo(settings: Settings, batch: int) -> tuple[dict[str, Any], list[str]]:
    epochs = settings.whole("n_epochs")
    fit, assumed = _value_fit(settings, batch, "PPO", epochs)
    clip = settings.scheduled("clip_range")
    if clip is None:
        assumed.append(f"clip range {DEFAULT_CLIP:g}: the file holds it as a pickle only")
    value_clip = None if settings.data.get("clip_range_vf") is None else settings.scheduled("clip_range_vf")
    assumed.append("an update fits the value net first, with an optimizer of its own")
    if norm := settings.number("max_grad_norm", 0.0):
        assumed.append(f"gradients were clipped to a joint norm of {norm:g}: an update here does not clip them")
    if (target := settings.data.get("target_kl")) is not None:
        assumed.append(f"updates stopped at a KL of {SHORT.repr(target)}: an update here takes all epochs")
    if settings.data.get("normalize_advantage") is False:
        assumed.append("advantages were not normalised: here they are")
    return fit | {
        "lr": fit["value_lr"],
        "epochs": epochs,
        "minibatches": fit["value_minibatches"],
        "clip_eps": DEFAULT_CLIP if clip is None else clip,
        "entropy_coef": settings.number("ent_coef", 0.0),
        "value_clip": value_clip,
    }, assumed


def _trpo(settings: Settings, batch: int) -> tuple[dict[str, Any], list[str]]:
    fit, assumed = _value_fit(settings, batch, "TRPO", settings.whole("n_critic_updates"))
    shrinking = settings.number("line_search_shrinking_factor", 0.5)
    if shrinking != 0.5:
        assumed.append(f"the line search shrank steps by {shrinking:g}: here by 0.5")
    return fit | {
        "max_kl": settings.number("target_kl"),
        "cg_steps": settings.whole("cg_max_steps"),
        "cg_damping": settings.number("cg_damping"),
        "fisher_fraction": 1 / settings.whole("sub_sampling_factor", 1, least=1),
        "backtracks": settings.whole("line_search_max_iter"),
        "accept_ratio": 0.0,
    }, assumed


def _a2c(settings: Settings, batch: int) -> tuple[dict[str, Any], list[str]]:
    fit, assumed = _value_fit(settings, batch, "A2C", 1)
    return fit | {"lr": fit["value_lr"]}, [*assumed, "an update of A2C cannot be redone here"]


def adam(optimizer: dict[Any, Any], parameters: Arrays) -> AdamMoments | None:
    """The moments that the optimiser has; None if it is not Adam with its own betas, without decay and AMSGrad.

    Its parameters are numbered in the order of the tensors.
    """
    groups, state = optimizer.get("param_groups"), optimizer.get("state")
    group = groups[0] if isinstance(groups, list) and len(groups) == 1 else None
    if not isinstance(group, dict) or not isinstance(state, dict):
        return None
    betas, indices = (_numbers(group.get(key)) for key in ("betas", "params"))
    extras = [group.get(key) for key in ("weight_decay", "amsgrad")]
    is_plain = betas == [0.9, 0.999] and all(isinstance(each, float | int | None) and not each for each in extras)
    if not is_plain or indices != list(range(len(parameters))):
        return None
    first: Arrays = {}
    second: Arrays = {}
    steps: set[float | None] = set()
    for index, (name, array) in enumerate(parameters.items()):
        own = state.get(index)
        if own is None:
            continue
        for target, key in ((first, "exp_avg"), (second, "exp_avg_sq")):
            moment = own.get(key) if isinstance(own, dict) else None
            if not isinstance(moment, torch.Tensor) or tuple(moment.shape) != array.shape:
                return None
            if (found := archive.numbers(moment)) is None:
                return None
            target[name] = found
        step = own.get("step", 0)
        steps.add(finite(step.item() if isinstance(step, torch.Tensor) and step.numel() == 1 else step))
    taken = steps.pop() if len(steps) == 1 else None
    sound = all(np.isfinite(each).all() for each in (*first.values(), *second.values()))
    return AdamMoments(first, second, int(taken)) if taken is not None and sound else None


def _numbers(found: object) -> list[float | None]:
    """The numbers of a list or tuple, with None for anything else in it, such as a tensor, which equals nothing."""
    return [finite(each) for each in found] if isinstance(found, list | tuple) else [None]
