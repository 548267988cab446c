"""Rollouts from states that are set in the simulator, and what they say of nets."""

import numpy as np
import pytest
from scipy import stats

from dpg.agent.acting import Actor
from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector, reset_to, states
from dpg.learning import training
from dpg.probes import state_errors
from dpg.probes import state_rollouts as probe
from dpg.probes.known_answers.agents import known_agent
from dpg.runtime.schema import Statistics
from dpg.runtime.seeding import Seed
from dpg.streams.rollout import collect

STATISTICS = Statistics(confidence=0.95, resample="estimates", resamples=200)


@pytest.mark.parametrize("env_id", ["Hopper-v4", "Walker2d-v5", "Humanoid-v4", "LinearQuadratic-v0"])
def test_what_follows_a_state_is_what_followed_where_it_was_read(env_id):
    """Bit for bit: the engine's warm start and what it has derived of the robot's place included."""
    one, other = make_vector(env_id, 3), make_vector(env_id, 3)
    rng = np.random.default_rng(0)
    actions = [rng.uniform(-0.4, 0.4, one.action_space.shape).astype(np.float32) for _ in range(12)]
    one.reset(seed=5)
    other.reset(seed=5 if env_id == "LinearQuadratic-v0" else 77)
    kept = None
    followed = []
    for t, action in enumerate(actions):
        if t == 6:
            kept = states(one)
        followed.append(one.step(action))
    assert kept is not None
    elapsed = np.full(3, 6)
    # The noise of an episode is drawn at its reset: the same seeds give the same.
    reset_to(other, kept, elapsed, [5, 6, 7], np.array([True, True, False]))
    if env_id == "LinearQuadratic-v0":
        reset_to(other, kept, elapsed, [5, 6, 7], np.array([False, False, True]))
    for action, (obs, reward, terminated, truncated, _) in zip(actions[6:], followed[6:], strict=True):
        found = other.step(action)
        for ours, theirs in zip(found[:4], (obs, reward, terminated, truncated), strict=True):
            np.testing.assert_array_equal(ours[:2], theirs[:2])


def test_states_of_another_shape_are_refused():
    envs = make_vector("Hopper-v4", 2)
    with pytest.raises(ValueError, match=r"Hopper-v4: states of shape \(2, 3\), not \(2, "):
        reset_to(envs, np.zeros((2, 3)), np.zeros(2, np.int64), [0, 1], np.ones(2, bool))


@pytest.fixture(scope="module")
def known() -> Snapshot:
    return known_agent("value net", 400).snapshot


def test_states_are_those_of_the_streams(known):
    node = Seed(0) / "test"
    visited = probe.visit(known, 4, node)
    envs = make_vector(known.recipe.env_id, 4)
    seeds = [node / f"stream={index}" for index in range(4)]
    streams = collect(Actor.of(known.state), envs, seeds, 400, clip_actions=True)
    times = [int(np.flatnonzero((streams.obs[k] == visited.obs[k]).all(axis=-1))[0]) for k in range(4)]
    assert [t // 100 for t in times] == [0, 1, 2, 3]
    assert visited.elapsed.tolist() == [t % 200 for t in times]
    np.testing.assert_array_equal(visited.obs, visited.simulation)


@pytest.fixture(scope="module")
def walker(make_recipe) -> Snapshot:
    recipe = make_recipe("ppo", env_id="Hopper-v4", common={"gamma": 0.9})
    return Snapshot(0, recipe, training.begin(recipe, make_vector(recipe.env_id, 1), [0]))


def test_a_rollout_goes_on_as_training_would_have_scored_it(walker):
    """One state, rollouts by hand in an environment each: frozen normalisers, scaled and clipped rewards."""
    visited = probe.visit(walker, 1, Seed(0) / "test")
    assert visited.simulation is not None
    seeds = [Seed(1) / f"rollout={r}" for r in range(3)]
    returns, lengths, cut = probe.rollouts(walker, visited.obs, visited.elapsed, visited.simulation, [seeds])
    state, config, envs = walker.state, walker.recipe.config, make_vector("Hopper-v4", 1)
    for r, seed in enumerate(seeds):
        reset_to(envs, visited.simulation, np.zeros(1, np.int64), [0], np.ones(1, bool))
        noise = (seed / "actions").generator().standard_normal((45, 3), np.float32)
        obs, total, t, terminated = visited.obs, 0.0, 0, [False]
        while t < 45 and not terminated[0]:
            action = np.clip(Actor.of(state).act(obs, noise[t : t + 1]), -1, 1)
            obs, reward, terminated, _, _ = envs.step(action)
            total += 0.9**t * np.clip(
                reward[0] / state.return_moments.std[0, 0], -config.reward_clip, config.reward_clip
            )
            t += 1
        # Actions come from float32 products of three rows there and of one here, which may round differently.
        assert returns[0, r] == pytest.approx(total, rel=1e-4)
        assert (lengths[0, r], cut[0, r]) == (t, not terminated[0])


def test_where_a_time_limit_is_an_end_it_ends_rollouts(known):
    """Five pairs before the limit, rewards are all below zero: the return is that of five pairs, not of sixty."""
    obs, seeds = np.array([[2.0, -1.0, 1.0]]), [[Seed(0) / f"rollout={r}" for r in range(20)]]
    ends, lengths, cut = probe.rollouts(known.with_common(time_limit="terminal"), obs, np.array([195]), obs, seeds)
    goes_on, _, all_cut = probe.rollouts(known, obs, np.array([195]), obs, seeds)
    assert not cut.any() and all_cut.all()
    assert (lengths == 5).all()
    assert ends.mean() > 0.7 * goes_on.mean()


def test_a_task_that_cannot_be_set_says_so(make_recipe):
    recipe = make_recipe("ppo", common={"gamma": 0.9})
    snapshot = Snapshot(0, recipe, training.begin(recipe, make_vector(recipe.env_id, 1), [0]))
    shard = probe.RolloutShard(snapshot, states=3, rollouts=2, seed=0)
    found = probe.measure(shard)
    checked = state_errors.CheckedStates(snapshot, found, {"value net": np.ones(3), "true value": np.zeros(3)})
    rows, errors = state_errors.tabulate([checked], STATISTICS, seed=0).values()
    assert [(row.rollouts, row.value_net) for row in rows] == [(0, 1.0)] * 3
    assert all(np.isnan(row.rollout_mean) for row in rows)
    assert [(row.net, row.states) for row in errors] == [("value net", 0), ("true value", 0)]
    assert all(np.isnan(row.relative_error) for row in errors)


def test_errors_come_with_the_squares_that_they_are_the_ratio_of(known):
    """Errors of several agents are averaged by them; of a net that is right the first is below zero at times."""
    shard = probe.RolloutShard(known, states=6, rollouts=4, seed=0)
    found = probe.measure(shard)
    mean, error = found.return_.mean(axis=1), stats.sem(found.return_, axis=1)
    checked = state_errors.CheckedStates(known, found, {"value net": mean, "true value": 2 * mean})
    right, double = state_errors.state_errors(checked, STATISTICS, seed=0)
    assert (right.squared_error, right.relative_error) == (pytest.approx(-np.mean(error**2)), 0)
    assert right.squared_value == double.squared_value == pytest.approx(np.mean(mean**2 - error**2))
    assert double.relative_error == pytest.approx(np.sqrt(double.squared_error / double.squared_value))


def test_the_rollouts_noise_is_taken_off():
    """A net that is right has no error, and one that is off by a tenth has that, however noisy the rollouts are."""
    rng = np.random.default_rng(0)
    truth = rng.normal(-10, 3, (1, 4000))
    samples = truth[..., None] + rng.normal(0, 6, (1, 4000, 8))
    known = samples.mean(axis=-1), stats.sem(samples, axis=-1)
    assert state_errors.squared_relative_error(truth, *known) < 0.03**2
    assert np.sqrt(state_errors.squared_relative_error(1.1 * truth, *known)) == pytest.approx(0.1, abs=0.02)
    assert state_errors.explained_variance(truth, *known) == pytest.approx(1, abs=0.05)
    assert state_errors.explained_variance(-10 + 0.5 * (truth + 10), *known) == pytest.approx(0.75, abs=0.05)
    assert np.isnan(state_errors.explained_variance(truth[:, :5], np.ones((1, 5)), np.ones((1, 5))))
