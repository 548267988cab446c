"""The true value function of a snapshot's policy, up to the capacity of its value net (paper, sec. 2.2, fig. 5).

V* is a net of the value net's architecture, fitted to known discounted returns on many pairs of fresh streams from
pi_theta_i. Targets are standardised, and their scale is folded into the last layer, so that V* is a value vector like
any other, in the reward units in which the value net is trained.

Two sets of streams, a tenth each, are not fitted. The best epoch on the stopping streams is kept. This choice favours
V* on these streams, so its error is measured on the held-out streams, which decide nothing. A poor V* would make every
comparison with it meaningless.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dpg.agent import networks
from dpg.agent.population import AdamState, Architecture
from dpg.agent.snapshot import Snapshot, require
from dpg.envs.make import time_limit
from dpg.learning.adam import Adam
from dpg.learning.objectives import value_slope
from dpg.numerics.statistics import explained_variance
from dpg.numerics.vectors import Layout
from dpg.probes.collection import GRADIENT_PARTS, STREAMS_AT_ONCE, Rows, identity, probe_seed
from dpg.probes.value import known_returns, long_streams, recorded_pairs
from dpg.runtime.schema import TrueValue
from dpg.runtime.seeding import Seed
from dpg.streams.measurable import MIN_PAIRS, heldout_streams, true_values
from dpg.tables.true_value import FitEpoch, FitQuality

MIN_STREAMS = 3  # one to fit, one to stop by, one to hold out
AT_ONCE = 65_536  # pairs that are predicted in one pass
ADAM_EPS = 1e-8


@dataclass(frozen=True)
class FitShard:
    """One snapshot, and how its true value function is fitted."""

    snapshot: Snapshot
    pairs: int
    fit: TrueValue
    seed: int

    def __post_init__(self) -> None:
        if self.num_streams < MIN_STREAMS:
            raise ValueError(f"{self}: {self.num_streams} streams, a fit takes at least {MIN_STREAMS}")

    @property
    def num_streams(self) -> int:
        """All streams, including the stopping and the held-out ones."""
        return self.pairs // self.snapshot.recipe.common.timesteps

    @property
    def num_heldout(self) -> int:
        """Held-out streams; there are as many stopping streams."""
        return heldout_streams(self.num_streams)

    @property
    def num_pairs(self) -> int:
        """Pairs that the shard collects: streams are recorded longer than they are used."""
        return self.num_streams * recorded_pairs(self.snapshot)

    def __str__(self) -> str:
        return f"{self.snapshot}, {self.pairs} pairs"


@dataclass(frozen=True)
class Fitted:
    """V* of one snapshot as a vector in the layout of its value net, and how it was obtained."""

    value: Float[np.ndarray, " D"]
    epochs: list[FitEpoch]
    quality: FitQuality


@dataclass(frozen=True)
class Data:
    """Pairs with a known return: normalised observations and returns; complete episodes among the pairs."""

    obs: Float[np.ndarray, "B O"]
    returns: Float[np.ndarray, " B"]
    trajectories: int


def unmeasurable(snapshot: Snapshot, pairs: int) -> str:
    """Why V* cannot be fitted to `pairs` pairs of a snapshot; empty if nothing rules it out beforehand."""
    recipe = snapshot.recipe
    return true_values(recipe.common, recipe.env_id, time_limit(recipe.env_id, recipe.modules), pairs)


def plan(snapshots: Sequence[Snapshot], pairs: int, fit: TrueValue, seed: int) -> list[FitShard]:
    """One shard for each snapshot; none if V* cannot be fitted."""
    return [] if unmeasurable(snapshots[0], pairs) else [FitShard(each, pairs, fit, seed) for each in snapshots]


def measure(shard: FitShard) -> Fitted | str:
    """Collect the streams of a shard and fit V* to their returns; a reason if too few returns of a set are known."""
    require(shard.snapshot, "a fit of V*", *GRADIENT_PARTS)
    node = probe_seed(shard.seed, "true_value", shard.snapshot)
    seeds = [node / f"stream={index}" for index in range(shard.num_streams)]
    first, second = shard.num_heldout, 2 * shard.num_heldout
    heldout, stopping, data = (
        collect(shard.snapshot, part) for part in (seeds[:first], seeds[first:second], seeds[second:])
    )
    for what, part in (("held-out pairs", heldout), ("pairs to stop by", stopping), ("pairs to fit", data)):
        if len(part.returns) < MIN_PAIRS:
            return (
                f"needs more than true_value.pairs = {shard.pairs:,} in the scale, or a lower common.gamma: of "
                f"{len(part.returns)} {what} the return is known (H = "
                f"{recorded_pairs(shard.snapshot) - shard.snapshot.recipe.common.timesteps} further pairs), and "
                f"{MIN_PAIRS} are needed"
            )
    return fit(shard, data, stopping, heldout, node)


def gather(
    shards: Sequence[FitShard], results: Iterable[Fitted | str]
) -> tuple[list[tuple[Snapshot, Fitted]], list[str]]:
    """The fits of snapshots, and the reasons of those that have none."""
    found = [(shard.snapshot, result) for shard, result in zip(shards, results, strict=True)]
    fits = [(snapshot, result) for snapshot, result in found if not isinstance(result, str)]
    return fits, [result for _, result in found if isinstance(result, str)]


def tabulate(fits: Sequence[tuple[Snapshot, Fitted]]) -> Rows:
    """The course and the quality of every fit."""
    return {
        FitEpoch: [epoch for _, fitted in fits for epoch in fitted.epochs],
        FitQuality: [fitted.quality for _, fitted in fits],
    }


def collect(snapshot: Snapshot, seeds: list[Seed]) -> Data:
    """The known returns of streams; raw observations are not kept."""
    most = len(seeds) * snapshot.recipe.common.timesteps
    # Filled in place: joining parts at the end would need twice the memory.
    obs, returns = np.empty((most, snapshot.state.architecture.obs_dim), np.float32), np.empty(most)
    count = trajectories = 0
    for first in range(0, len(seeds), STREAMS_AT_ONCE):
        streams = long_streams(snapshot, seeds[first : first + STREAMS_AT_ONCE])
        target, known = known_returns(snapshot, streams)
        scored = streams.head(target.shape[1])
        added = slice(count, count + int(known.sum()))
        normalized = snapshot.state.normalize_obs(scored.obs.reshape(1, -1, scored.obs.shape[-1]))[0]
        obs[added], returns[added] = normalized[known.ravel()], target[known]
        count, trajectories = added.stop, trajectories + int(scored.done.sum())
    return Data(obs[:count], returns[:count], trajectories)


def fit(shard: FitShard, data: Data, stopping: Data, heldout: Data, node: Seed) -> Fitted:
    """Fit V* to `data` until it no longer improves on `stopping`; `heldout` decides nothing."""
    snapshot = shard.snapshot
    architecture = snapshot.state.architecture
    layout = architecture.value_layout
    mean, std = float(data.returns.mean()), max(float(data.returns.std()), 1e-12)
    obs, target = torch.from_numpy(data.obs), torch.from_numpy(((data.returns - mean) / std).astype(np.float32))
    adam = Adam(initial(snapshot, node), AdamState.zeros(1, layout.size), np.array([shard.fit.lr]), ADAM_EPS)
    best = adam.vectors.clone()
    rng = (node / "minibatches").generator()
    epochs: list[FitEpoch] = []
    best_epoch, best_loss = 0, float("inf")
    for epoch in range(1, shard.fit.max_epochs + 1):
        for rows in minibatches(rng, len(target), shard.fit.minibatch):
            adam.step(gradient(architecture, adam.vectors, obs[rows], target[rows]))
        losses = [
            float(
                np.mean((predict(architecture, adam.vectors[0].numpy(), part.obs) - (part.returns - mean) / std) ** 2)
            )
            for part in (data, stopping)
        ]
        epochs.append(FitEpoch(**identity(snapshot), epoch=epoch, train_loss=losses[0], stopping_loss=losses[1]))
        if losses[1] < best_loss:
            best, best_epoch, best_loss = adam.vectors.clone(), epoch, losses[1]
        elif epoch - best_epoch >= shard.fit.patience:
            break
    value = unstandardized(layout, best[0].numpy(), mean, std)
    return Fitted(value, epochs, quality(snapshot, value, (data, stopping, heldout), len(epochs), best_epoch))


def initial(snapshot: Snapshot, node: Seed) -> Float[np.ndarray, "1 D"]:
    """A fresh net of the value net's architecture."""
    architecture = snapshot.state.architecture
    sizes = (architecture.obs_dim, *architecture.value_hidden, 1)
    arrays = networks.init_mlp((node / "init").generator(), sizes, "orthogonal", np.sqrt(2), 1.0)
    return architecture.value_layout.flatten(arrays)[None]


def minibatches(rng: np.random.Generator, pairs: int, size: int) -> Iterator[Tensor]:
    """One epoch: every pair once, shuffled, in parts of at most `size`."""
    order = torch.from_numpy(rng.permutation(pairs))
    yield from order.split(size)


@torch.inference_mode()
def gradient(
    architecture: Architecture, vector: Float[Tensor, "1 D"], obs: Float[Tensor, "B O"], target: Float[Tensor, " B"]
) -> Float[Tensor, "1 D"]:
    """The gradient of the mean squared error."""
    layout, activation = architecture.value_layout, architecture.activation
    arrays = layout.unflatten(vector)
    inputs, output = networks.layer_inputs(arrays, obs[None], activation)
    slope = value_slope(output[..., 0], target[None])
    errors = networks.layer_errors(arrays, inputs, slope[..., None], activation)
    return layout.flatten(networks.gradient(inputs, errors))


def predict(
    architecture: Architecture, value: Float[np.ndarray, " D"], obs: Float[np.ndarray, "B O"]
) -> Float[np.ndarray, " B"]:
    """The net's values at normalised observations, in float64."""
    arrays = architecture.value_layout.unflatten(value)
    parts = (obs[first : first + AT_ONCE] for first in range(0, len(obs), AT_ONCE))
    return np.concatenate([networks.mlp(arrays, part, architecture.activation)[:, 0] for part in parts]).astype(
        np.float64
    )


def unstandardized(layout: Layout, value: Float[np.ndarray, " D"], mean: float, std: float) -> Float[np.ndarray, " D"]:
    """The net whose values are mean + std times this one's."""
    arrays = dict(layout.unflatten(value.astype(np.float64)))
    last = max(int(name[1:]) for name in arrays)
    arrays[f"w{last}"] = std * arrays[f"w{last}"]
    arrays[f"b{last}"] = std * arrays[f"b{last}"] + mean
    return layout.flatten(arrays).astype(np.float32)


def quality(
    snapshot: Snapshot, value: Float[np.ndarray, " D"], sets: tuple[Data, Data, Data], epochs: int, best_epoch: int
) -> FitQuality:
    """The errors of V* and of the snapshot's value net on the last of the three sets: fitted, stopping, held-out."""
    data, stopping, heldout = sets
    architecture = snapshot.state.architecture
    fitted, own = (predict(architecture, vector, heldout.obs) for vector in (value, snapshot.state.value[0]))
    size = np.abs(heldout.returns)
    relative = [np.abs(each - heldout.returns)[size > 0] / size[size > 0] for each in (fitted, own)]
    medians = [float(np.median(each)) if len(each) else float("nan") for each in relative]
    return FitQuality(
        **identity(snapshot),
        pairs=len(data.returns),
        trajectories=data.trajectories,
        stopping_pairs=len(stopping.returns),
        heldout_pairs=len(heldout.returns),
        heldout_trajectories=heldout.trajectories,
        epochs=epochs,
        best_epoch=best_epoch,
        explained_variance=float(explained_variance(fitted, heldout.returns)),
        value_net_explained_variance=float(explained_variance(own, heldout.returns)),
        median_relative_error=medians[0],
        value_net_median_relative_error=medians[1],
    )
