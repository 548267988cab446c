"""Whole updates from one snapshot: that they are training's, and how their agreement is reckoned."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.learning import training
from dpg.numerics.vectors import cosine
from dpg.probes import update_step
from dpg.probes.update_step import UpdatedPolicies
from dpg.runtime.schema import Statistics

STATISTICS = Statistics(confidence=0.95, resample="estimates", resamples=200)


@pytest.fixture(scope="module", params=["ppo", "trpo"])
def snapshot(request, make_recipe):
    """An agent after two iterations, with an Adam state to start from."""
    recipe = make_recipe(request.param)
    envs = make_vector(recipe.env_id, 1)
    *_, (population, _) = training.train(training.begin(recipe, envs, [0]), envs, recipe, [0], until=2)
    return Snapshot(0, recipe, population)


def collected(snapshot, num_updates, updates_per_shard=8, seed=0):
    shards = update_step.plan([snapshot], num_updates, seed, updates_per_shard)
    ((_, updates),) = update_step.gather(shards, map(update_step.measure, shards))
    return updates


def test_an_update_is_the_one_that_training_would_make(snapshot, monkeypatch):
    """From the seed of training's own iteration it is training's own step, to the last bit of the population's."""
    recipe = snapshot.recipe
    envs = make_vector(recipe.env_id, 1)
    ((after, _),) = training.train(snapshot.state, envs, recipe, [0], until=3)
    node = recipe.iteration_seed(0, 2)
    monkeypatch.setattr(update_step, "probe_seed", lambda *_: _Fixed(node))
    (shard,) = update_step.plan([snapshot], 1, seed=0)
    np.testing.assert_array_equal(update_step.measure(shard).policy, after.policy)


class _Fixed:
    """A root under which update 0 is a given node."""

    def __init__(self, node):
        self.node = node

    def __truediv__(self, name):
        return self.node if name == "update=0" else self.node / name


def test_updates_differ_and_do_not_depend_on_how_they_are_cut_into_shards(snapshot):
    together, apart = collected(snapshot, 4), collected(snapshot, 4, updates_per_shard=3)
    assert len(np.unique(together.policy, axis=0)) == 4
    np.testing.assert_allclose(together.policy, apart.policy, atol=1e-4)
    np.testing.assert_array_equal(together.obs, apart.obs)
    assert together.obs.shape == (snapshot.recipe.common.timesteps, 4)
    assert (together.episodes >= 0).all()


def test_updates_of_one_batch_would_agree(snapshot):
    """The probe can tell shared batches from independent ones."""
    (shard,) = update_step.plan([snapshot], 1, seed=0)
    one = update_step.measure(shard)
    twins = UpdatedPolicies(np.repeat(one.policy, 3, axis=0), np.repeat(one.episodes, 3), one.obs)
    row = update_step.agreement(snapshot, twins, STATISTICS, seed=0)
    assert row.cosine == pytest.approx(1.0)
    assert row.kl == pytest.approx(0.0, abs=1e-12)
    assert update_step.agreement(snapshot, collected(snapshot, 3), STATISTICS, seed=0).cosine < 0.99


def test_pairwise_kl_against_torch(snapshot):
    updates = collected(snapshot, 3)
    found = update_step.pairwise_kl(snapshot, updates)
    layout = snapshot.state.architecture.policy_layout

    def distribution(policy):
        arrays = {name: torch.from_numpy(array).double() for name, array in layout.unflatten(policy).items()}
        hidden = torch.from_numpy(updates.obs).double()
        hidden = torch.tanh(hidden @ arrays["w0"] + arrays["b0"])
        mean = hidden @ arrays["w1"] + arrays["b1"]
        return torch.distributions.Independent(torch.distributions.Normal(mean, arrays["log_std"].exp()), 1)

    p, q = distribution(updates.policy[0]), distribution(updates.policy[2])
    kl = torch.distributions.kl_divergence
    both = float((kl(p, q).mean() + kl(q, p).mean()) / 2)
    assert found[0, 2] == found[2, 0] == pytest.approx(both, rel=1e-3)
    np.testing.assert_allclose(np.diagonal(found), 0, atol=1e-12)


def test_numbers_of_three_known_steps(snapshot):
    """Steps of length 1 along e1 and e2 and of length 2 along e1: cosines 0, 1, 0."""
    theta = snapshot.state.policy[0].astype(np.float64)
    steps = np.zeros((3, len(theta)))
    steps[0, 0], steps[1, 1], steps[2, 0] = 1.0, 1.0, 2.0
    base = replace(snapshot.state, policy=np.zeros_like(snapshot.state.policy))
    still = Snapshot(0, snapshot.recipe, base)
    updates = UpdatedPolicies(steps.astype(np.float32), np.array([1, 2, 3]), collected(snapshot, 1).obs)
    row = update_step.agreement(still, updates, STATISTICS, seed=0)
    assert row.cosine == pytest.approx(np.mean([cosine(steps[i], steps[j]) for i, j in ((0, 1), (0, 2), (1, 2))]))
    assert row.step_norm == pytest.approx(4 / 3)
    assert row.trajectories == 2.0
    assert (row.updates, row.unmoved) == (3, 0)
    assert row.cosine_low <= row.cosine <= row.cosine_high


def test_an_update_that_did_not_move_has_no_cosine_and_is_counted(snapshot):
    moved = collected(snapshot, 3)
    updates = replace(moved, policy=np.concatenate([moved.policy[:2], snapshot.state.policy]))
    row = update_step.agreement(snapshot, updates, STATISTICS, seed=0)
    steps = moved.policy.astype(np.float64) - snapshot.state.policy
    assert row.unmoved == 1
    assert row.cosine == pytest.approx(float(cosine(steps[0], steps[1])))
