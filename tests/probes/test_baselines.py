"""Baselines on the same streams: what each weighs a pair by, and what the rows say of estimates."""

from dataclasses import replace

import numpy as np
import pytest

from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.learning import training
from dpg.learning.batch import values
from dpg.probes import baselines, stream_blocks
from dpg.probes.stream_scores import StreamScores, prefixes
from dpg.runtime.budgets import BaselinesBudget
from dpg.streams import advantages

BUDGET = BaselinesBudget(repeats=4, sizes=(64, 128, 256))


@pytest.fixture(scope="module")
def snapshot(make_recipe) -> Snapshot:
    recipe = make_recipe("ppo", common={"gamma": 0.9})
    envs = make_vector(recipe.env_id, 1)
    *_, (population, _) = training.train(training.begin(recipe, envs, [0]), envs, recipe, [0], until=2)
    return Snapshot(0, recipe, population)


@pytest.fixture(scope="module")
def true_value(snapshot) -> np.ndarray:
    """Some other net."""
    return np.random.default_rng(0).normal(0, 0.3, snapshot.state.value.shape[1]).astype(np.float32)


@pytest.fixture(scope="module")
def shards(snapshot, true_value):
    return baselines.plan([snapshot], [true_value], BUDGET, seed=0)


@pytest.fixture(scope="module")
def collected(shards) -> baselines.BaselineCosines:
    (found,) = baselines.gather(shards, map(baselines.measure, shards))
    return found


def test_advantages_are_what_each_variant_says(snapshot, true_value, make_streams):
    """Written out pair by pair: an episode that terminates, one that is truncated, and one that is cut."""
    streams = make_streams(1, 12, obs_dim=4, action_dim=1, terminated=((0, 3),), truncated=((0, 8),))
    state, common = snapshot.state, snapshot.recipe.common
    found = {
        variant: estimates.advantage(common)[0]
        for variant, estimates in zip(
            baselines.VARIANTS, baselines.value_estimates(snapshot, streams, true_value), strict=True
        )
    }
    reward = np.clip(streams.reward[0] / state.return_moments.std[0, 0], -10, 10)

    def at(vector: np.ndarray, obs: np.ndarray) -> np.ndarray:
        return values(replace(state, value=vector[None]), state.normalize_obs(obs[None]))[0]

    after = np.zeros(12)
    after[[8, 11]] = at(true_value, streams.end_obs)
    done = streams.done[0]
    q = advantages.discounted_return(reward, done, after, 0.9)
    recorded = advantages.discounted_return(reward, done, np.zeros(12), 0.9)
    own, true = at(state.value[0], streams.obs[0]), at(true_value, streams.obs[0])
    np.testing.assert_allclose(found["zero", "returns"], q, rtol=1e-6)
    np.testing.assert_allclose(found["value net", "returns"], q - own, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["true value", "returns"], q - true, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["zero", "gae"], recorded, rtol=1e-6)
    following = np.append(true[1:], 0.0)
    following[[3, 8, 11]] = 0.0, *after[[8, 11]]
    delta = reward + 0.9 * following - true
    expected = np.zeros(13)
    for t in range(11, -1, -1):
        expected[t] = delta[t] + 0.9 * common.gae_lambda * expected[t + 1] * (not done[t])
    np.testing.assert_allclose(found["true value", "gae"], expected[:-1], rtol=1e-5, atol=1e-6)


def test_heads_of_streams_are_cut_as_streams(snapshot, true_value, make_streams):
    streams = make_streams(2, 20, obs_dim=4, action_dim=1, truncated=((1, 5),))
    whole, cut = (baselines.value_estimates(snapshot, each, true_value) for each in (streams, streams.head(9)))
    for one, other in zip(whole, cut, strict=True):
        ours, theirs = one.advantage(snapshot.recipe.common, 9), other.advantage(snapshot.recipe.common)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_one_pass_gives_what_a_pass_for_each_would(snapshot, shards):
    shard = shards[0]
    streams = stream_blocks.collect(shard)
    found = baselines.reduce(shard, streams)
    assert len(shard.blocks) == 4
    for index, estimates in enumerate(baselines.value_estimates(snapshot, streams, shard.true_value)):
        scores = StreamScores.of(snapshot, streams, estimates)
        expected = scores.pooled(prefixes((64, 128, 256), 128, 0, 8), scores.per_stream())
        by_part = [part[index] for part in found]
        np.testing.assert_allclose(sum(part.weighted_score[-1] for part in by_part[:1]), expected.weighted_score[-1])
        assert by_part[0].pairs.tolist() == [64, 128, 256]


def test_streams_are_those_of_no_other_probe(shards):
    seeds = [str(seed) for shard in shards for seed in shard.seeds]
    assert len(set(seeds)) == len(seeds) == 4 * 2
    assert all("baselines" in seed for seed in seeds)


def test_how_streams_are_cut_into_shards_does_not_matter(snapshot, true_value, collected, monkeypatch):
    monkeypatch.setattr(baselines, "STREAMS_AT_ONCE", 1)
    shards = baselines.plan([snapshot], [true_value], BUDGET, seed=0)
    assert len(shards) == 8
    (found,) = baselines.gather(shards, map(baselines.measure, shards))
    for variant, cosines in collected.cosines.items():
        np.testing.assert_allclose(found.cosines[variant], cosines, atol=1e-6)


def known(snapshot, agent: int, seed: int) -> baselines.BaselineCosines:
    """Ten estimates at one size: V* sees the same gradient with little noise, the net with more, zero with most."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(10, 6))
    cosines = {}
    for name, size in zip(baselines.BASELINES, (0.6, 0.7, 0.8), strict=True):
        vectors = np.eye(6)[0] + size * noise
        unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
        cosines |= {(name, way): (unit @ unit.T)[None] for way in baselines.WAYS}
    return baselines.BaselineCosines(replace(snapshot, agent=agent), (100,), np.array([5.0]), cosines)


def test_differences_are_paired(snapshot, params):
    """All three see the same noise: their differences are known better than if estimates were resampled apart."""
    given = known(snapshot, 0, seed=1)
    rows, gaps, _ = baselines.tabulate([given], params.statistics, seed=0).values()
    cosine = {(row.baseline, row.advantage): row for row in rows}
    for gap in gaps:
        one, other = cosine[gap.baseline, gap.advantage], cosine[gap.other, gap.advantage]
        assert gap.difference == pytest.approx(one.cosine - other.cosine)
        assert gap.low <= gap.difference <= gap.high
        apart = np.hypot(one.high - one.low, other.high - other.low)
        assert gap.high - gap.low < 0.5 * apart
    assert [(gap.baseline, gap.other) for gap in gaps[:3]] == [
        ("true value", "value net"), ("true value", "zero"), ("value net", "zero"),
    ]  # fmt: skip
    assert all(gap.low > 0 for gap in gaps)
    assert (rows[0].trajectories, rows[0].repeats, rows[0].pairs) == (5.0, 10, 100)


def test_over_agents_both_agents_and_estimates_are_resampled(snapshot, params):
    given = [known(snapshot, agent, seed=agent) for agent in range(4)]
    _, gaps, rows = baselines.tabulate(given, params.statistics, seed=0).values()
    for index, row in enumerate(rows):
        assert row.difference == pytest.approx(np.mean([gap.difference for gap in gaps[index :: len(rows)]]))
        assert row.low < row.difference < row.high
        assert (row.agents, row.repeats) == (4, 40)


def test_an_estimate_without_a_direction_leaves_its_cosines_blank(snapshot, params):
    given = known(snapshot, 0, seed=1)
    given.cosines["zero", "gae"][0, 3] = np.nan
    given.cosines["zero", "gae"][0, :, 3] = np.nan
    rows, gaps, _ = baselines.tabulate([given], params.statistics, seed=0).values()
    blank = [(row.baseline, row.advantage) for row in rows if np.isnan(row.cosine)]
    assert blank == [("zero", "gae")]
    assert sum(np.isnan(gap.difference) for gap in gaps) == 2
