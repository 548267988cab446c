"""The statistics of observations and returns: a pickle of VecNormalize, read as data, or an .npz of plain arrays."""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dpg.agent.normalization import Moments
from dpg.importing import archive, inert_pickle
from dpg.importing.agent import ClippedMoments
from dpg.importing.errors import AgentImportError

VEC_NORMALIZE = "stable_baselines3.common.vec_env.vec_normalize.VecNormalize"
RUNNING = "stable_baselines3.common.running_mean_std.RunningMeanStd"
ZIP_MAGIC = b"PK"
NPZ_DEFAULTS = {"epsilon": 1e-8, "clip": 10.0, "count": 0.0}


@dataclass(frozen=True)
class Normalizer:
    """What a file holds; `rewards_scaled` and `gamma` are None where it does not say."""

    obs: ClippedMoments | None
    reward: ClippedMoments | None
    rewards_scaled: bool | None
    gamma: float | None
    digest: str


def read(path: Path) -> Normalizer:
    """The normaliser in a file.

    Raises:
        UnsafeFileError: it names code.
        AgentImportError: it is no normaliser of observations in one array.
    """
    data = archive.read(path, inert_pickle.MAX_BYTES)
    return _npz(data, str(path)) if data.startswith(ZIP_MAGIC) else _pickle(data, str(path))


def _pickle(data: bytes, source: str) -> Normalizer:
    found = inert_pickle.load(data, source)
    if not inert_pickle.is_a(found, VEC_NORMALIZE) or not isinstance(found.state, dict):
        raise AgentImportError(f"{source}: a VecNormalize is expected, not a {inert_pickle.kind(found)}")
    state: dict[str, Any] = found.state
    if isinstance(state.get("obs_rms"), dict):
        raise AgentImportError(f"{source}: normalises a Dict of observations; one array is expected")
    epsilon = _number(state, "epsilon", source)
    norm_obs = state.get("norm_obs", True)
    obs = _running(state.get("obs_rms"), epsilon, _clip(state, "clip_obs", source), source) if norm_obs else None
    reward = _running(state.get("ret_rms"), epsilon, _clip(state, "clip_reward", source), source)
    scaled = state.get("norm_reward")
    gamma = _number(state, "gamma", source) if "gamma" in state else None
    return Normalizer(obs, reward, scaled if isinstance(scaled, bool) else None, gamma, archive.sha256(data))


def _clip(state: dict[str, Any], key: str, source: str) -> float | None:
    """A bound; infinity is none."""
    return None if state.get(key) == math.inf else _number(state, key, source)


def _running(node: Any, epsilon: float, clip: float | None, source: str) -> ClippedMoments:
    if not inert_pickle.is_a(node, RUNNING) or not isinstance(node.state, dict):
        raise AgentImportError(f"{source}: a RunningMeanStd is expected, not a {inert_pickle.kind(node)}")
    keys = ("mean", "var", "count")
    mean, variance, count = (inert_pickle.array(node.state.get(key), f"{source}: {key}") for key in keys)
    if count.shape != ():
        raise AgentImportError(f"{source}: count must be one number")
    return statistics(mean, variance, float(count), epsilon, clip, source)


def statistics(
    mean: np.ndarray, variance: np.ndarray, count: float, epsilon: float, clip: float | None, source: str
) -> ClippedMoments:
    """Checked statistics of one array of observations, or of returns.

    Raises:
        AgentImportError: they are not finite, of different shapes, or of more than one axis.
    """
    mean, variance = (np.atleast_1d(np.asarray(each, np.float64)) for each in (mean, variance))
    if mean.ndim != 1 or mean.shape != variance.shape:
        shapes = f"{mean.shape} and {variance.shape}"
        raise AgentImportError(f"{source}: mean and variance of one axis are expected, not {shapes}")
    finite = np.isfinite(mean).all() and np.isfinite(variance).all() and np.isfinite([count, epsilon]).all()
    if not finite or (variance + epsilon <= 0).any() or epsilon < 0:
        raise AgentImportError(f"{source}: the statistics must be finite, and the variance plus epsilon positive")
    return ClippedMoments(Moments(np.array([count]), mean[None], variance[None], epsilon), clip)


def _number(state: dict[str, Any], key: str, source: str) -> float:
    found = inert_pickle.array(state.get(key), f"{source}: {key}")
    if found.shape != () or not np.isfinite(found):
        raise AgentImportError(f"{source}: {key} must be one finite number")
    return float(found)


def _npz(data: bytes, source: str) -> Normalizer:
    """`mean` and `var` of observations; optional: count, epsilon (1e-8), clip (10), ret_var (the returns' variance)."""
    archive.members(data, source, inert_pickle.MAX_BYTES)  # refuses one that unpacks to more than is read
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except Exception as error:  # a broken file raises whatever its decoder does
        raise AgentImportError(f"{source}: not an .npz of plain arrays ({error})") from None
    optional = {"ret_var", *NPZ_DEFAULTS}
    if not {"mean", "var"} <= set(arrays) <= {"mean", "var"} | optional:
        found = ", ".join(sorted(arrays)) or "none"
        raise AgentImportError(
            f"{source}: arrays mean and var are expected, and perhaps {', '.join(sorted(optional))}; found {found}"
        )
    for key, array in arrays.items():
        if array.dtype.kind not in "biuf" or (key in optional and array.size != 1):
            raise AgentImportError(f"{source}: {key} must hold {'one number' if key in optional else 'numbers'}")
    epsilon, clip, count = (float(arrays[key].item() if key in arrays else NPZ_DEFAULTS[key]) for key in NPZ_DEFAULTS)
    obs = statistics(arrays["mean"], arrays["var"], count, epsilon, None if clip == math.inf else clip, source)
    variance = arrays.get("ret_var")
    reward = None if variance is None else statistics(np.zeros(1), variance, count, epsilon, 10.0, source)
    return Normalizer(obs, reward, None, None, archive.sha256(data))
