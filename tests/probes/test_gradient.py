"""The gradient probe: which streams make which estimate, and what the rows say."""

import numpy as np
import pytest

from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.learning import training
from dpg.probes import gradient
from dpg.probes.stream_sums import Products, Sums
from dpg.runtime.schema import GradientBudget

BUDGET = GradientBudget(repeats=3, sizes=(16, 64, 128, 256), true_pairs=512)


@pytest.fixture(scope="module")
def snapshot(make_recipe):
    recipe = make_recipe("ppo")
    envs = make_vector(recipe.env_id, 1)
    return Snapshot(0, recipe, training.begin(recipe, envs, [0]))


def test_sets_are_disjoint_and_as_large_as_asked(snapshot):
    shards = gradient.plan([snapshot], BUDGET, seed=0, streams_per_shard=1)
    streams = [(shard.role, shard.set_index, shard.first_stream) for shard in shards]
    assert len(set(streams)) == len(streams)
    pairs = {role: sum(shard.num_pairs for shard in shards if shard.role == role) for role in ("estimate", "true")}
    assert pairs == {"estimate": 3 * 256, "true": 512}


def test_how_streams_are_cut_into_shards_does_not_matter(snapshot, params):
    def rows(streams_per_shard: int):
        shards = gradient.plan([snapshot], BUDGET, 0, streams_per_shard)
        (collected,) = gradient.gather(shards, map(gradient.measure, shards))
        return gradient.tabulate(collected, params.statistics, seed=0)

    (one, noise_one), (many, noise_many) = rows(1), rows(8)
    for a, b in zip(one, many, strict=True):
        assert (a.against, a.pairs, a.trajectories) == (b.against, b.pairs, b.trajectories)
        assert [a.cosine, a.low, a.high] == pytest.approx([b.cosine, b.low, b.high], abs=1e-5, nan_ok=True)
    assert noise_one.reliability == pytest.approx(noise_many.reliability, abs=1e-5)


def collected(snapshot, estimates, halves, products=None):
    def sums(vectors):
        """Sums whose gradients are these vectors: mu = 0 and sigma = 1 over 100 pairs."""
        vectors = np.array(vectors, float)
        hundred = np.full(len(vectors), 100.0)
        return Sums(hundred, hundred / 10, 0 * hundred, hundred, 0 * vectors, 100 * vectors)

    return gradient.Collected(
        snapshot,
        (100,),
        [sums([v]) for v in estimates],
        [sums([v]) for v in halves],
        products or Products(4, 4e4, 0, 0),
    )


def test_cosines_between_known_vectors(snapshot, params):
    """Estimates along x, y and -x: cosines 0, 0 and -1 among them; 1, 0 and -1 to a true gradient along x."""
    given = collected(snapshot, [(2, 0), (0, 1), (-3, 0)], [(1, 0), (1, 0)])
    rows, _ = gradient.tabulate(given, params.statistics, seed=0)
    each_other, true = rows
    assert each_other.against == "each other"
    assert each_other.cosine == pytest.approx(-1 / 3)
    assert each_other.share_nonpositive == 1
    assert true.cosine == pytest.approx(0)
    assert true.share_nonpositive == pytest.approx(2 / 3)
    assert true.low <= true.cosine <= true.high
    assert (true.repeats, true.pairs, true.trajectories) == (3, 100, 10)
    assert true.random_floor == pytest.approx(1 / np.sqrt(2))


def test_a_true_gradient_is_corrected_for_its_own_reliability(snapshot, params):
    """Four streams of 50 pairs, |g|^2 = 1: squared norms sum to 4 + 6, so trace = 2 and |g|^2 - 2/4 = 0.5."""
    scale = 50.0**2
    given = collected(snapshot, [(1, 0)] * 3, [(1, 0), (1, 0)], Products(4, 10 * scale, 0.0, 0.0))
    rows, noise = gradient.tabulate(given, params.statistics, seed=0)
    assert noise.reliability == pytest.approx(0.5)
    assert noise.gradient_squared == pytest.approx(0.5)
    assert noise.noise_scale_pairs == pytest.approx(2 * snapshot.recipe.common.timesteps / 0.5)
    assert rows[1].corrected_cosine == pytest.approx(1 / np.sqrt(0.5))
    assert noise.split_half_cosine == pytest.approx(1)


def test_a_zero_gradient_is_reported_not_a_silent_number(snapshot, params):
    rows, noise = gradient.tabulate(
        collected(snapshot, [(0, 0), (1, 0), (1, 0)], [(0, 0), (0, 0)]), params.statistics, 0
    )
    assert np.isnan(rows[1].cosine)
    assert np.isnan(noise.split_half_cosine)


def test_pairs_for_a_cosine_are_interpolated_in_log_pairs(snapshot):
    def row(pairs: int, cosine: float) -> gradient.Similarity:
        unused = float("nan")
        return gradient.Similarity(
            "e", "a", 0, 0, "true", pairs, unused, 3, cosine, unused, unused, unused, unused, unused
        )

    find = gradient._pairs_for
    assert find([row(100, 0.8), row(10_000, 1.0)], "true", 0.9) == pytest.approx(1000)
    assert find([row(100, 0.95)], "true", 0.9) == 100
    assert np.isnan(find([row(100, 0.1), row(1000, 0.5)], "true", 0.9))
