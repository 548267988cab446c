"""The gradient probe: which streams make which estimate, and what the rows say."""

import numpy as np
import pytest

from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.learning import training
from dpg.probes import gradient
from dpg.probes.gradient_sums import GradientSums, GramSums
from dpg.runtime.budgets import GradientBudget
from dpg.tables.gradient import Noise, Similarity

BUDGET = GradientBudget(repeats=3, sizes=(16, 64, 128, 256), true_pairs=512)


@pytest.fixture(scope="module")
def snapshot(make_recipe):
    recipe = make_recipe("ppo")
    envs = make_vector(recipe.env_id, 1)
    return Snapshot(0, recipe, training.begin(recipe, envs, [0]))


def test_sets_are_disjoint_and_as_large_as_asked(snapshot):
    shards = gradient.plan([snapshot], BUDGET, seed=0, streams_per_shard=1)
    parts = [part for shard in shards for part in shard.blocks]
    streams = [seed for shard in shards for seed in shard.seeds]
    assert len(set(streams)) == len(streams) == len(shards)
    pairs = {role: sum(128 * part.num_streams for part in parts if part.role == role) for role in ("estimate", "true")}
    assert pairs == {"estimate": 3 * 256, "true": 512}


def test_shards_are_full_and_hold_the_same_streams_however_they_are_cut(snapshot):
    def cut(streams_per_shard: int):
        return gradient.plan([snapshot], BUDGET, 0, streams_per_shard)

    assert [shard.num_pairs // 128 for shard in cut(3)] == [3, 3, 3, 1]
    everything = [seed for shard in cut(1) for seed in shard.seeds]
    assert [seed for shard in cut(3) for seed in shard.seeds] == everything


def test_a_shard_sends_one_sum_for_all_sizes_that_take_the_same_streams(snapshot):
    """Ten streams a set: of the later ones most sizes take all or nothing."""
    budget = BUDGET.model_copy(update={"sizes": (16, 128, 256, 1280), "true_pairs": 2560})
    shards = gradient.plan([snapshot], budget, 0, streams_per_shard=5)
    (first, _), (later, _) = (gradient.measure(shard)[0] for shard in shards[:2])
    np.testing.assert_array_equal(first.pairs, [16, 128, 256, 5 * 128])
    np.testing.assert_array_equal(later.pairs, [5 * 128])
    (collected,) = gradient.gather(shards, map(gradient.measure, shards))
    for sums in collected.estimates:
        np.testing.assert_array_equal(sums.pairs, budget.sizes)


def test_how_streams_are_cut_into_shards_does_not_matter(snapshot, params):
    def rows(streams_per_shard: int):
        shards = gradient.plan([snapshot], BUDGET, 0, streams_per_shard)
        (collected,) = gradient.gather(shards, map(gradient.measure, shards))
        return tabulated(collected, params)

    (one, noise_one), (many, noise_many) = rows(1), rows(8)
    for a, b in zip(one, many, strict=True):
        assert (a.against, a.pairs, a.trajectories) == (b.against, b.pairs, b.trajectories)
        assert [a.cosine, a.low, a.high] == pytest.approx([b.cosine, b.low, b.high], abs=1e-5, nan_ok=True)
    for column in ("reliability", "trace", "noise_scale_low", "noise_scale_high"):
        assert getattr(noise_one, column) == pytest.approx(getattr(noise_many, column), rel=1e-3, nan_ok=True)


def test_the_true_gradient_is_kept_in_groups_of_streams(snapshot):
    """25 streams a half in ten groups each: every stream once, groups of two or three, whatever the shards."""
    budget = BUDGET.model_copy(update={"true_pairs": 50 * 128})
    for streams_per_shard in (4, 64):
        shards = gradient.plan([snapshot], budget, 0, streams_per_shard)
        parts = [part for shard in shards for part in shard.blocks if part.role == "true"]
        numbers = [(p.set_index, p.first_stream + index) for p in parts for index in range(p.num_streams)]
        assert numbers == [(half, stream) for half in range(2) for stream in range(25)]
        sizes = dict.fromkeys([(p.set_index, p.group) for p in parts], 0)
        for p in parts:
            sizes[p.set_index, p.group] += p.num_streams
        assert sorted(sizes.values()) == [2] * 10 + [3] * 10
    (collected,) = gradient.gather(shards, map(gradient.measure, shards))
    assert [products.streams for _, products in collected.groups] == list(sizes.values())


def tabulated(collected, params, **changes):
    rows = gradient.tabulate([collected], params.statistics.model_copy(update=changes), seed=0)
    (noise,) = rows[Noise]
    return rows[Similarity], noise


def collected(snapshot, estimates, halves, squared_norms=4.0):
    """Each half is one group, of two streams; the four streams' gradients have this sum of squared norms."""

    def sums(vectors):
        """Sums whose gradients are these vectors: mu = 0 and sigma = 1 over 100 pairs."""
        vectors = np.array(vectors, float)
        hundred = np.full(len(vectors), 100.0)
        return GradientSums(hundred, hundred / 10, 0 * hundred, hundred, 0 * vectors, 100 * vectors)

    return gradient.EstimateSet(
        snapshot,
        (100,),
        [sums([v]) for v in estimates],
        [[(sums([v]), products(v, squared_norms / 2))] for v in halves],
    )


def products(mean, squared_norms):
    """Of two streams of 50 pairs with mu = 0 and sigma = 1: sum A^2 = 50 in each, so that q = 1."""
    mixed = np.zeros((2, 2, 2))
    mixed[1, 0] = 50 * 100 * np.array(mean)
    return GramSums(2, 50.0**2 * squared_norms * np.diag([1.0, 0.0]), np.diag([0.0, 5000.0]), mixed)


def test_cosines_between_known_vectors(snapshot, params):
    """Estimates along x, y and -x: cosines 0, 0 and -1 among them; 1, 0 and -1 to a true gradient along x."""
    given = collected(snapshot, [(2, 0), (0, 1), (-3, 0)], [(1, 0), (1, 0)])
    rows, _ = tabulated(given, params)
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
    given = collected(snapshot, [(1, 0)] * 3, [(1, 0), (1, 0)], 10.0)
    rows, noise = tabulated(given, params)
    assert noise.reliability == pytest.approx(0.5)
    assert noise.gradient_squared == pytest.approx(0.5)
    assert noise.noise_scale_pairs == pytest.approx(2 * snapshot.recipe.common.timesteps / 0.5)
    assert rows[1].corrected_cosine == pytest.approx(1 / np.sqrt(0.5))
    assert noise.split_half_cosine == pytest.approx(1)
    assert noise.signal_to_noise == pytest.approx(0.5 / 2)
    assert noise.largest_pairs == 100


def test_the_papers_interval_resamples_cosines_and_is_narrower(snapshot, params):
    """Ten estimates have 45 cosines, which share members: as 45 independent numbers they claim too much."""
    rng = np.random.default_rng(0)
    given = collected(snapshot, rng.normal((1, 0), 1, (10, 2)), [(1, 0), (1, 0)])

    def width(resample: str) -> float:
        (row, _), _ = tabulated(given, params, resample=resample)
        return row.high - row.low

    assert width("cosines") < 0.7 * width("estimates")


def test_a_zero_gradient_is_reported_not_a_silent_number(snapshot, params):
    rows, noise = tabulated(collected(snapshot, [(0, 0), (1, 0), (1, 0)], [(0, 0), (0, 0)]), params)
    each_other, true = rows
    assert (each_other.repeats, each_other.undirected, each_other.cosine) == (2, 1, 1.0)
    assert (true.repeats, true.undirected) == (0, 1)
    assert np.isnan(true.cosine)
    assert np.isnan(true.share_nonpositive)
    assert np.isnan(noise.split_half_cosine)


def test_pairs_for_a_cosine_are_interpolated_in_log_pairs(snapshot):
    def row(pairs: int, cosine: float) -> Similarity:
        unused = float("nan")
        return Similarity("e", "a", 0, 0, "true", pairs, unused, 3, 0, cosine, unused, unused, unused, unused, unused)

    find = gradient._pairs_for
    assert find([row(100, 0.8), row(10_000, 1.0)], "true", 0.9) == pytest.approx(1000)
    assert find([row(100, 0.95)], "true", 0.9) == 100
    assert np.isnan(find([row(100, 0.1), row(1000, 0.5)], "true", 0.9))
