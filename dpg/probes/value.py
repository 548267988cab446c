"""What the value net learns: its error on its own target and on the true returns (paper, fig. 4, 13, 14; eq. 3, 4).

At snapshot i the iteration's own batch is collected again from the same seeds and its value update is run, which gives
V = V_phi_{i+1}. V is scored on that batch and on fresh held-out streams against two targets: `gae`, V_phi_i(s) + A_GAE,
to which it was fitted unless `common.value_target` says otherwise; and `returns`, the discounted return, in the units
in which the net is trained. Streams are recorded H pairs longer than they are scored, so that returns are known to
within one percent. The rows also have the errors as the authors' release defines them (`dpg.probes.release_errors`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from dpg.agent.population import Population
from dpg.agent.snapshot import Snapshot, require
from dpg.envs.make import time_limit
from dpg.learning.batch import estimate_values, prepare, scale_reward, values
from dpg.learning.value_fit import update_value
from dpg.numerics.statistics import explained_variance
from dpg.probes import release_errors
from dpg.probes.collection import GRADIENT_PARTS, Rows, batch_seeds, fresh_streams, identity, probe_seed
from dpg.runtime.seeding import Seed
from dpg.streams import advantages, measurable
from dpg.streams.rollout import Streams
from dpg.tables.value import PredictionError

TRIM = 0.05
# Relative errors explode at targets this small relative to their deviation; their share is reported.
NEAR_ZERO = 1e-3


@dataclass(frozen=True)
class ValueShard:
    """One snapshot, and the number of held-out pairs."""

    snapshot: Snapshot
    heldout_pairs: int
    seed: int

    @property
    def num_pairs(self) -> int:
        """Pairs that the shard collects."""
        recipe = self.snapshot.recipe
        streams = recipe.num_envs + self.heldout_pairs // recipe.common.timesteps
        return streams * recorded_pairs(self.snapshot)


def unmeasurable(snapshot: Snapshot) -> str:
    """Why the value net of a snapshot cannot be compared with true returns; empty if it can."""
    recipe = snapshot.recipe
    limit = time_limit(recipe.env_id, recipe.modules)
    return measurable.value_net(recipe.common) or measurable.returns(recipe.common, recipe.env_id, limit)


def plan(snapshots: Sequence[Snapshot], heldout_pairs: int, seed: int) -> list[ValueShard]:
    """One shard for each snapshot; none if nothing can be measured."""
    if unmeasurable(snapshots[0]):
        return []
    return [ValueShard(snapshot, heldout_pairs, seed) for snapshot in snapshots]


def measure(shard: ValueShard) -> list[PredictionError]:
    """The rows of one snapshot."""
    snapshot = shard.snapshot
    require(snapshot, "the value fit", *GRADIENT_PARTS, "value_adam", "value_update")
    recipe, state = snapshot.recipe, snapshot.state
    training_seed = recipe.iteration_seed(snapshot.agent, snapshot.iteration)
    node = probe_seed(shard.seed, "value", snapshot)
    heldout_seeds = [node / f"stream={k}" for k in range(shard.heldout_pairs // recipe.common.timesteps)]
    train = long_streams(snapshot, batch_seeds(recipe, training_seed / "batch"))
    heldout = long_streams(snapshot, heldout_seeds)
    batch = prepare(state, train.head(recipe.common.timesteps), recipe.common, recipe.config)
    updated = update_value(state, batch, recipe, [training_seed])
    return [
        row
        for split, streams in (("train", train), ("heldout", heldout))
        for row in _score(snapshot, updated, split, streams)
    ]


def tabulate(found: Iterable[list[PredictionError]]) -> Rows:
    """The prediction errors at every snapshot."""
    return {PredictionError: list(chain.from_iterable(found))}


def long_streams(snapshot: Snapshot, seeds: Sequence[Seed]) -> Streams:
    """Streams of T + H pairs; the first T pairs are the stream of T pairs from the same seed."""
    return fresh_streams(snapshot, seeds, recorded_pairs(snapshot))


def recorded_pairs(snapshot: Snapshot) -> int:
    """T + H: pairs of a stream whose first T are scored."""
    common = snapshot.recipe.common
    return common.timesteps + advantages.horizon(common.gamma)


def known_returns(snapshot: Snapshot, streams: Streams) -> tuple[Float[np.ndarray, "N T"], Bool[np.ndarray, "N T"]]:
    """Discounted returns of the first T pairs of long streams, in the net's reward units, and which are known."""
    recipe = snapshot.recipe
    common, timesteps = recipe.common, recipe.common.timesteps
    reward = scale_reward(snapshot.state, streams.reward.reshape(1, -1), recipe.config).reshape(streams.reward.shape)
    terminated = streams.done if common.time_limit == "terminal" else streams.terminated
    returns = advantages.discounted_return(reward, streams.done, np.zeros_like(reward), common.gamma)
    known = advantages.return_is_known(terminated, streams.done, advantages.horizon(common.gamma))
    return returns[:, :timesteps], known[:, :timesteps]


def _score(snapshot: Snapshot, updated: Population, split: str, streams: Streams) -> list[PredictionError]:
    recipe, state = snapshot.recipe, snapshot.state
    common = recipe.common
    scored = streams.head(common.timesteps)
    estimates = estimate_values(state, scored, common, recipe.config)
    obs = updated.normalize_obs(scored.obs.reshape(1, -1, scored.obs.shape[-1]))
    predicted = values(updated, obs).reshape(scored.reward.shape)
    own_target = estimates.value + estimates.advantage(common)
    returns, known = known_returns(snapshot, streams)
    recorded = release_errors.recorded_return(estimates.reward, scored.done, common.gamma)
    kept = ~scored.done
    nothing = release_errors.Error(float("nan"), 0)
    # By the release's formula: the net, the net where returns are known, and the returns there.
    of_gae = release_errors.gae_error(predicted, own_target, kept), nothing, nothing
    of_returns = (
        release_errors.returns_error(predicted, recorded, kept),
        release_errors.returns_error(predicted, recorded, kept & known),
        release_errors.returns_error(returns, recorded, kept & known),
    )
    targets = (
        ("gae", predicted, own_target, of_gae),
        ("returns", predicted[known], returns[known], of_returns),
    )
    return [
        PredictionError(
            **identity(snapshot),
            split=split,
            target=name,
            pairs=target.size,
            trajectories=int(scored.done.sum()),
            **_errors(value.ravel(), target.ravel()),
            release_error=net.mean,
            release_pairs=net.pairs,
            release_error_known=net_known.mean,
            hindsight_error=hindsight.mean,
            hindsight_pairs=hindsight.pairs,
        )
        for name, value, target, (net, net_known, hindsight) in targets
    ]


def _errors(v: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> dict[str, Any]:
    """The columns of a prediction V of a target y."""
    relative = relative_errors(v, y)
    finite = relative[np.isfinite(relative)]
    enough = len(finite) > 0
    return {
        "mean_relative_error": float(finite.mean()) if enough else float("nan"),
        "trimmed_relative_error": float(stats.trim_mean(finite, TRIM)) if enough else float("nan"),
        "median_relative_error": float(np.median(finite)) if enough else float("nan"),
        "near_zero_share": float(np.mean(np.abs(y) < NEAR_ZERO * y.std())) if len(y) else float("nan"),
        "explained_variance": float(explained_variance(v, y)),
    }


def relative_errors(predicted: Float[np.ndarray, " n"], target: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """|V - y| / |y|; infinite where y is zero and V is not."""
    error = np.abs(predicted - target)
    return np.divide(error, np.abs(target), out=np.where(error > 0, np.inf, 0.0), where=target != 0)
