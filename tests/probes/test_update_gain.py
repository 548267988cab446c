"""What whole updates gain: against closed forms on LinearQuadratic-v0, and as training would make them."""

from operator import attrgetter

import numpy as np
import pytest
import torch
from scipy import stats

from dpg.agent.snapshot import Snapshot
from dpg.envs.linear_quadratic import EPISODE_STEPS, TASK
from dpg.envs.make import make_vector
from dpg.learning import training
from dpg.learning.update import objective
from dpg.probes import batches, update_gain
from dpg.probes.known_answers import closed_forms
from dpg.probes.known_answers.agents import linear_policy
from dpg.probes.known_answers.closed_forms import ClosedLoop
from dpg.probes.known_answers.returns import TIMESTEPS as T
from dpg.probes.known_answers.returns import stepping
from dpg.probes.update_gain import EpisodeShard, UpdateShard
from dpg.runtime.budgets import UpdateGainBudget
from dpg.runtime.seeding import Seed
from dpg.runtime.shards import ExecutionContext, open_context, run_shards


@pytest.fixture(scope="module", params=["ppo", "trpo"])
def snapshot(request, make_recipe):
    """An agent after two iterations, with an Adam state to start from."""
    recipe = make_recipe(request.param)
    envs = make_vector(recipe.env_id, 1)
    *_, (population, _) = training.train(training.begin(recipe, envs, [0]), envs, recipe, [0], until=2)
    return Snapshot(0, recipe, population)


def measured(snapshots, wanted, context):
    shards = update_gain.plan_updates(snapshots, wanted, 0)
    made = run_shards(update_gain.measure_updates, shards, context, work=attrgetter("num_pairs"), title="updates")
    updates = list(update_gain.gather_updates(shards, made))
    episodes = update_gain.plan_episodes(updates, wanted, 0)
    work = attrgetter("num_episodes")
    results = run_shards(update_gain.measure_episodes, episodes, context, work=work, title="rewards", unit="episodes")
    return list(update_gain.gather(updates, episodes, results))


def of_policies(snapshot, policies, regimes=(128, 256)):
    """Updates to these policies, R of (K, D), whose other numbers say nothing."""
    made = [update_gain.Updates(each, *np.zeros((2, len(each))), np.zeros(len(each), int)) for each in policies]
    return update_gain.SnapshotUpdates(snapshot, dict(zip(regimes, made, strict=True)))


def budget(updates=(3, 3), update_pairs=(128, 256), episodes=2) -> UpdateGainBudget:
    return UpdateGainBudget(updates=updates, update_pairs=update_pairs, episodes=episodes)


# Known answers


def z(found: np.ndarray, truth: np.ndarray) -> float:
    """How many standard errors the mean over updates lies above the truth."""
    difference = found - truth
    return float(difference.mean() / stats.sem(difference))


@pytest.fixture(scope="module")
def short_steps():
    """Updates along which the surrogate is linear, from so few pairs that much of their direction is noise."""
    agent = stepping(lr=1e-4)
    shards = [UpdateShard(agent.snapshot, 4 * T, first, 8, 0) for first in range(0, 64, 8)]
    parts = [update_gain.measure_updates(shard) for shard in shards]
    policy, own, heldout = (
        np.concatenate([getattr(p, n) for p in parts]) for n in ("policy", "own_gain", "heldout_gain")
    )
    step = policy.astype(np.float64) - agent.snapshot.state.policy
    return step @ agent.gradient(), own, heldout


def test_the_held_out_gain_of_a_short_step_is_its_product_with_the_gradient(short_steps):
    """Within 4 standard errors of 64 updates: a false alarm in 15,000."""
    truth, _, heldout = short_steps
    assert abs(z(heldout, truth)) < 4
    assert abs(z(heldout, -truth)) > 6
    assert abs(z(heldout, np.zeros(64))) > 6


def test_the_gain_on_the_own_batch_is_fitted_to_its_noise(short_steps):
    """Taken for the held-out one, the own batch is rejected."""
    truth, own, heldout = short_steps
    assert z(own, truth) > 10
    assert z(own, heldout) > 6
    assert own.min() > 0 > heldout.min()


@pytest.fixture(scope="module")
def long_steps():
    """Sixteen updates that change the return by more than their episodes' noise, and the true changes."""
    agent = stepping(lr=0.05)
    wanted = budget((16,), (2 * T,), 6)
    (gains,) = measured([agent.snapshot], wanted, ExecutionContext())
    first, second = update_gain.plan_updates([agent.snapshot], wanted, 0)
    policy = np.concatenate([update_gain.measure_updates(shard).policy for shard in (first, second)])
    state = agent.snapshot.state
    loops = [ClosedLoop(TASK, linear_policy(state, theta)) for theta in (state.policy[0], *policy)]
    before, *after = (closed_forms.episode_return(loop, EPISODE_STEPS) for loop in loops)
    return gains, before, np.array(after) - before


def test_reward_gains_are_those_of_the_closed_form(long_steps):
    """Means within 4 standard errors (a false alarm in 15,000), and each update's with the others' spread."""
    gains, before, truth = long_steps
    found = gains.difference.mean(axis=1)
    assert abs(z(found, truth)) < 4
    assert np.corrcoef(found, truth)[0, 1] > 0.8
    assert abs(z(gains.before.mean(axis=1), np.full(16, before))) < 4


def test_a_gain_of_the_wrong_sign_or_of_another_update_is_rejected(long_steps):
    gains, _, truth = long_steps
    found = gains.difference.mean(axis=1)
    errors = stats.sem(gains.difference, axis=1)
    assert np.mean(np.abs(found - truth) / errors) < 2
    assert np.mean(np.abs(-found - truth) / errors) > 6
    assert np.mean(np.abs(np.roll(found, 1) - truth) / errors) > 4


def test_episodes_are_paired_within_an_update_and_apart_between_updates(long_steps):
    """Pairs make a gain's error a fraction of its parts'; no two updates share the noise of the snapshot's return."""
    gains, _, _ = long_steps
    assert stats.sem(gains.difference, axis=1).mean() < 0.5 * stats.sem(gains.before, axis=1).mean()
    assert len(np.unique(gains.before)) == gains.before.size
    assert gains.pairs.tolist() == [2 * 6 * EPISODE_STEPS] * 16


# Updates


def test_an_update_is_the_one_that_training_would_make(snapshot, monkeypatch):
    """From the streams and seeds of training's own iteration it is training's own step, to the last bit."""
    recipe = snapshot.recipe
    envs = make_vector(recipe.env_id, 1)
    ((after, _),) = training.train(snapshot.state, envs, recipe, [0], until=3)
    node = recipe.iteration_seed(0, 2)
    monkeypatch.setattr(UpdateShard, "seeds", property(lambda _: [_Trainings(node.root, node.path)]))
    found = update_gain.measure_updates(UpdateShard(snapshot, recipe.common.timesteps, 0, 1, 0))
    np.testing.assert_array_equal(found.policy, after.policy)


class _Trainings(Seed):
    """A root whose first stream is training's batch."""

    def __truediv__(self, name):
        return Seed(self.root, self.path) / ("batch" if name == "stream=0" else name)


def test_surrogate_gains_are_differences_of_the_objective(snapshot):
    shard = UpdateShard(snapshot, 256, 1, 1, 0)
    found = update_gain.measure_updates(shard)
    (seed,) = shard.seeds
    for root, gain in ((seed, found.own_gain), (seed / "held-out", found.heldout_gain)):
        batch, trajectories = batches.fresh_batch(snapshot, [root], 256)
        new, old = (
            objective(snapshot.state, torch.from_numpy(theta), batch, snapshot.recipe).item()
            for theta in (found.policy, snapshot.state.policy)
        )
        assert gain[0] == pytest.approx(new - old, abs=1e-6)
        if root is seed:
            assert found.trajectories[0] == trajectories[0] > 0
    assert found.own_gain[0] > 0
    assert found.own_gain[0] != found.heldout_gain[0]


def test_updates_do_not_depend_on_how_they_are_cut_into_shards(snapshot):
    """Rounding alone differs, which conjugate gradients enlarge."""
    together = update_gain.measure_updates(UpdateShard(snapshot, 256, 0, 3, 0))
    apart = [update_gain.measure_updates(UpdateShard(snapshot, 256, k, 1, 0)) for k in range(3)]
    assert len(np.unique(together.policy, axis=0)) == 3
    for name, tolerance in (("policy", 1e-3), ("own_gain", 1e-4), ("heldout_gain", 1e-4), ("trajectories", 0)):
        np.testing.assert_allclose(
            getattr(together, name), np.concatenate([getattr(part, name) for part in apart]), atol=tolerance
        )


def test_every_update_is_planned_once_in_shards_that_fit(snapshot):
    wanted = budget((20, 3), (1280, 128_000), 50)
    planned = update_gain.plan_updates([snapshot], wanted, 0)
    small, large = ([shard for shard in planned if shard.update_pairs == pairs] for pairs in (1280, 128_000))
    assert planned == [*small, *large]
    for shards, count in ((small, 20), (large, 3)):
        assert [shard.first_update + index for shard in shards for index in range(shard.num_updates)] == [*range(count)]
    assert {shard.num_updates for shard in small} == {8, 4}
    assert {shard.num_updates for shard in large} == {1}
    assert sum(shard.num_pairs for shard in small) == 20 * 2 * 1280
    policies = np.split(np.arange(23 * 3, dtype=np.float32).reshape(23, 3), [20])
    parts = update_gain.plan_episodes([of_policies(snapshot, policies)], wanted, 0)
    for regime, policy in enumerate(policies):
        np.testing.assert_array_equal(np.concatenate([part.policies[regime] for part in parts]), policy)
    assert sum(part.num_episodes for part in parts) == (20 + 20 + 3) * 50
    assert max(part.num_episodes for part in parts) <= update_gain.EPISODES_PER_SHARD


# Episodes


def test_regimes_share_the_snapshots_episodes_and_shards_cut_nothing(snapshot):
    """Of a step in the bias of the action: the same episodes, whether updates are run together or apart."""
    low, high = np.repeat(snapshot.state.policy[None], 2, axis=0).repeat(2, axis=1)
    low[:, -1] += np.array([0.1, 0.2], np.float32)
    high[:, -1] += np.array([0.3, 0.4], np.float32)

    def returns(policies, first):
        return update_gain.measure_episodes(EpisodeShard(snapshot, policies, first, 4, 0)).return_

    together, fewer = returns((low, high), 3), returns((low, high[:1]), 3)
    np.testing.assert_allclose(together[[1, 5]], returns((high[1:],), 4))
    np.testing.assert_allclose(together[:5], fewer)
    assert not np.allclose(together[0], together[1])


@pytest.mark.parametrize(
    "wanted", [budget((5, 5), episodes=60), budget((5, 2), episodes=60), budget((2, 5), episodes=60)]
)
def test_results_find_their_place(snapshot, wanted):
    """Update k of regime r returns 100 r + 10 k + e; the snapshot is before them all."""
    made = {}
    for regime, (pairs, count) in enumerate(zip(wanted.update_pairs, wanted.updates, strict=True)):
        policy, numbers = np.repeat(snapshot.state.policy, count, axis=0) + np.float32(1), np.arange(float(count))
        made[pairs] = update_gain.Updates(policy, numbers + regime, -numbers, np.arange(count))
    updates = update_gain.SnapshotUpdates(snapshot, made)
    shards = update_gain.plan_episodes([updates], wanted, 0)
    assert len(shards) > 1
    results = []
    for shard in shards:
        parts = []
        for policy, count in enumerate((max(shard.num_updates), *shard.num_updates)):
            update = shard.first_update + np.arange(count)
            parts.append(100.0 * policy + 10.0 * update[:, None] + np.arange(60.0))
        value = np.concatenate(parts)
        results.append(update_gain.Episodes(value, value.astype(np.int64)))
    low, high = update_gain.gather([updates], shards, results)
    for gains, count, shift in zip((low, high), wanted.updates, (0, 1), strict=True):
        numbers = np.arange(float(count))
        np.testing.assert_array_equal(gains.before, 10.0 * numbers[:, None] + np.arange(60.0))
        assert np.all(gains.difference == 100 * (1 + shift))
        np.testing.assert_array_equal(gains.own_gain, numbers + shift)
        np.testing.assert_array_equal(gains.pairs, (gains.before + gains.after).sum(axis=1))
    assert (low.update_pairs, high.update_pairs) == (128, 256)


def test_an_update_that_did_not_move_gains_nothing(snapshot):
    """However two runs of one policy round."""
    policy = snapshot.state.policy.repeat(2, axis=0)
    policy[1] += np.float32(0.1)
    updates = of_policies(snapshot, [policy], (128,))
    shards = update_gain.plan_episodes([updates], budget((2,), (128,), 3), 0)
    found = update_gain.Episodes(np.arange(12.0).reshape(4, 3), np.ones((4, 3), int))
    (gains,) = update_gain.gather([updates], shards, [found])
    assert gains.unmoved.tolist() == [True, False]
    assert gains.difference.tolist() == [[0, 0, 0], [6, 6, 6]]


@pytest.mark.slow
@pytest.mark.parametrize("snapshot", ["ppo"], indirect=True)
def test_one_worker_and_two_find_the_same(snapshot, monkeypatch):
    monkeypatch.setattr(update_gain, "PAIRS_PER_SHARD", 512)
    monkeypatch.setattr(update_gain, "EPISODES_PER_SHARD", 6)
    found = []
    for jobs in ("1", "2"):
        monkeypatch.setenv("DPG_JOBS", jobs)
        with open_context() as context:
            found.append(measured([snapshot], budget((3, 2)), context))
    assert [gains.update_pairs for gains in found[0]] == [128, 256]
    for one, two in zip(*found, strict=True):
        for name in ("own_gain", "heldout_gain", "trajectories", "step_norm", "before", "after", "pairs"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    low, high = found[0]
    np.testing.assert_array_equal(low.before[:2], high.before)
