"""Streams that begin within an episode: uniformly, and the same whatever is collected with them."""

from dataclasses import replace

import numpy as np
import pytest

from dpg.agent import snapshot as snapshots
from dpg.agent.acting import Actor
from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.probes.collection import batch_seeds, fresh_streams
from dpg.runtime.seeding import Seed
from dpg.streams.burn_in import burn_in
from dpg.streams.rollout import collect


@pytest.fixture(scope="module")
def agent(make_population, make_recipe) -> Snapshot:
    """An agent of a task whose episodes have 200 pairs."""
    population = make_population(1, obs_dim=3, action_dim=1)
    recipe = make_recipe("ppo", env_id="Pendulum-v1", common={"timesteps": 5})
    return Snapshot(0, recipe.model_copy(update={"streams": "continue", "num_envs": 2}), population)


def started(agent, count, tag="a"):
    envs = make_vector(agent.recipe.env_id, count)
    seeds = [Seed(0) / tag / index for index in range(count)]
    found = burn_in(Actor.of(agent.state), envs, seeds, 200, clip_actions=True)
    envs.close()
    return found


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "InvertedPendulum-v5"])
def test_a_stream_is_the_same_whatever_is_collected_with_it(agent, make_population, env_id):
    """Environments wait for each other, in one task skipped by the engine and in one stepped in vain."""
    if env_id != agent.recipe.env_id:
        recipe = agent.recipe.model_copy(update={"env_id": env_id})
        agent = replace(agent, recipe=recipe, state=make_population(1, obs_dim=4, action_dim=1))
    seeds = [Seed(0) / index for index in range(4)]
    together = fresh_streams(agent, seeds)
    for index, seed in enumerate(seeds):
        alone = fresh_streams(agent, [seed])
        np.testing.assert_allclose(together.obs[index], alone.obs[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(together.action[index], alone.action[0], rtol=1e-4, atol=1e-4)


def test_short_streams_see_the_whole_episode(agent):
    """Each of four quarters of an episode has 25 of 100 starts in the mean; 4.3 is their standard deviation."""
    elapsed = started(agent, 100).elapsed
    quarters = np.bincount(elapsed // 50, minlength=4)
    assert np.all(np.abs(quarters - 25) < 4 * 4.3), quarters


def test_the_pairs_before_a_stream_are_those_until_its_episode_ends(agent):
    envs = make_vector("Pendulum-v1", 8)
    seeds = [Seed(0) / "a" / index for index in range(8)]
    actor = Actor.of(agent.state)
    start = burn_in(actor, envs, seeds, 200, clip_actions=True)
    streams = collect(actor, envs, seeds, 200, clip_actions=True, start=start)
    envs.close()
    np.testing.assert_array_equal(streams.truncated.argmax(axis=1), 199 - start.elapsed)


def test_streams_that_reset_are_untouched_by_it(agent):
    """The default: the bytes of a stream are those from before there was a burn-in."""
    recipe = agent.recipe.model_copy(update={"streams": "reset"})
    plain = fresh_streams(replace(agent, recipe=recipe), [Seed(0)])
    envs = make_vector("Pendulum-v1", 1)
    expected = collect(Actor.of(agent.state), envs, [Seed(0)], 5, clip_actions=True)
    envs.close()
    np.testing.assert_array_equal(plain.obs, expected.obs)
    assert not np.array_equal(plain.obs, fresh_streams(agent, [Seed(0)]).obs)


def test_a_batch_has_a_stream_for_every_environment(agent):
    assert batch_seeds(agent.recipe, Seed(0)) == [Seed(0) / "env=0", Seed(0) / "env=1"]
    assert agent.recipe.batch_pairs == 10
    alone = agent.recipe.model_copy(update={"num_envs": 1})
    assert batch_seeds(alone, Seed(0)) == [Seed(0)]


def test_the_recipe_of_streams_survives_a_snapshot_and_leaves_no_trace_by_default(agent, make_recipe, tmp_path):
    assert snapshots.load(snapshots.save(agent, tmp_path)).recipe == agent.recipe
    assert "num_envs" not in make_recipe("ppo").model_dump_json()
