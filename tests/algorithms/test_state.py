"""State of an algorithm's own: continued from bit for bit, left alone by measurements, and never mixed up."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from dpg.agent import snapshot
from dpg.agent.recipe import Recipe
from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.learning import algorithm
from dpg.learning.batch import prepare
from dpg.learning.training import begin, train
from dpg.learning.update import objective, objective_over, update_policy
from dpg.probes import update_step
from dpg.runtime.registry import AlgorithmError
from dpg.runtime.seeding import Seed
from tests.learning.test_training import together

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("examples.kl_ppo",)
AGENTS = [0, 3]


@pytest.fixture(scope="module")
def recipe(params) -> Recipe:
    """PPO with an adaptive penalty, whose coefficient is state: its target is such that agents part ways."""
    block = YAML(typ="safe", pure=True).load(ROOT / "examples" / "kl_ppo.yaml")["kl_ppo"]
    small = {"epochs": 2, "minibatches": 4, "value_epochs": 2, "value_minibatches": 4, "target_kl": 0.002}
    networks = {"timesteps": 128, "policy_hidden": (16,), "value_hidden": (16,)}
    return Recipe(
        env_id="InvertedPendulum-v5",
        algorithm="kl_ppo",
        modules=MODULES,
        common=params.common.model_copy(update=networks),
        config=block | small | {"lr": 3e-3, "anneal": False},
        iterations=4,
        seed=0,
    )


def run(recipe: Recipe, until: int, start=None):
    envs = make_vector(recipe.env_id, len(AGENTS))
    population = first = begin(recipe, envs, AGENTS) if start is None else start
    for population, _ in train(first, envs, recipe, AGENTS, until):  # noqa: B007
        pass
    envs.close()
    return population


@pytest.fixture(scope="module")
def half(recipe):
    return run(recipe, until=2)


def test_going_on_from_snapshots_is_bit_for_bit_never_having_stopped(recipe, half, tmp_path):
    straight = run(recipe, until=4)
    paths = [snapshot.save(Snapshot(agent, recipe, half.member(row)), tmp_path) for row, agent in enumerate(AGENTS)]
    loaded = [snapshot.load(path) for path in paths]
    resumed = run(loaded[0].recipe, until=4, start=together([one.state for one in loaded]))
    assert resumed.policy.tobytes() == straight.policy.tobytes()
    assert resumed.algorithm_state["beta"].tobytes() == straight.algorithm_state["beta"].tobytes()
    alone = replace(half, algorithm_state={"beta": half.algorithm_state["beta"] * 2})
    assert run(recipe, until=4, start=alone).policy.tobytes() != straight.policy.tobytes(), "the state matters"


def test_the_state_begins_as_the_algorithm_says_and_moves(recipe, half):
    assert run(recipe, until=0).algorithm_state["beta"].tolist() == [1.0, 1.0]
    assert (half.algorithm_state["beta"] != 1.0).all()


def test_members_of_a_population_keep_their_own_state(half):
    chosen = half.select(np.array([1, 1, 0]))
    assert chosen.algorithm_state["beta"].tolist() == half.algorithm_state["beta"][[1, 1, 0]].tolist()
    with pytest.raises(ValueError, match="disagree on its size"):
        replace(half, algorithm_state={"beta": np.ones(3)})


def test_measurements_leave_the_state_alone(recipe, half):
    """Updates that are measured start from the snapshot's state, each from the same, and change none of it."""
    one = Snapshot(0, recipe, half.member(0))
    before = one.state.algorithm_state["beta"].tobytes()
    (shard,) = update_step.plan([one], 2, seed=0)
    first = update_step.measure(shard).policy
    assert one.state.algorithm_state["beta"].tobytes() == before
    assert update_step.measure(shard).policy.tobytes() == first.tobytes()


def test_the_objective_some_pairs_at_a_time_is_that_of_the_whole_batch(recipe, half, make_streams):
    """The penalty's mean over parts is its mean, with one coefficient for many policies of one agent."""
    one = half.member(0)
    streams = make_streams(1, 24, obs_dim=4, action_dim=1)
    batch = prepare(one, streams, recipe.common, recipe.config)
    noise = torch.randn((5, one.policy.shape[-1]), generator=torch.Generator().manual_seed(0))
    policies = torch.from_numpy(one.policy) + 0.05 * noise
    whole = objective(one, policies, batch, recipe)
    parts = objective_over(one, policies, batch, recipe, pairs_at_once=8)
    np.testing.assert_allclose(parts.numpy(), whole.numpy(), rtol=1e-4, atol=1e-6)
    without = objective(replace(one, algorithm_state={"beta": np.zeros(1, np.float32)}), policies, batch, recipe)
    assert (without > whole + 1e-4).all(), "the penalty counts"


@pytest.mark.parametrize("state", [{}, {"beta": np.ones(2)}, {"beta": np.ones((2, 1), np.float32)}])
def test_state_of_another_version_of_the_algorithm_is_refused(recipe, half, make_streams, state):
    batch = prepare(half, make_streams(2, 24, obs_dim=4, action_dim=1), recipe.common, recipe.config)
    with pytest.raises(
        AlgorithmError, match=r"kl_ppo: these agents must have .* \('beta': float32 of shape \(2,\)\), not "
    ):
        update_policy(replace(half, algorithm_state=state), batch, recipe, [Seed(0), Seed(1)])


def test_an_update_that_drops_its_state_is_refused(recipe, half, make_streams, monkeypatch):
    found = algorithm.of(recipe)
    forgetful = replace(found, update_policy=lambda population, *_: replace(population, algorithm_state={}))
    monkeypatch.setattr("dpg.learning.algorithm.of", lambda _: forgetful)
    batch = prepare(half, make_streams(2, 24, obs_dim=4, action_dim=1), recipe.common, recipe.config)
    with pytest.raises(AlgorithmError, match=r"update_policy must return the state .*'beta'.*, not none$"):
        update_policy(half, batch, recipe, [Seed(0), Seed(1)])


def test_an_algorithm_without_a_learning_rate_is_not_given_one(make_recipe, make_population, make_streams, monkeypatch):
    steps = []

    def note(population, batch, config, step):
        steps.append(step)
        return population

    for name in ("trpo", "ppo"):
        recipe = make_recipe(name, iterations=4, config={"anneal": True} | ({"lr": 0.8} if name == "ppo" else {}))
        noted = replace(algorithm.of(recipe), update_policy=note)
        monkeypatch.setattr("dpg.learning.algorithm.of", lambda _, noted=noted: noted)
        population = replace(make_population(2), iteration=1)
        batch = prepare(population, make_streams(2, 24), recipe.common, recipe.config)
        update_policy(population, batch, recipe, [Seed(0), Seed(1)])
        monkeypatch.undo()
    without, with_lr = steps
    assert np.isnan(without.lr).all()
    np.testing.assert_allclose(with_lr.lr, [0.6, 0.6])
    assert without.progress == with_lr.progress == 0.25
