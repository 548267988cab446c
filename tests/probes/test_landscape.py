"""The landscape probe: where its points lie, what surrogate and reward are there, and how rewards are assigned."""

from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv

from dpg.agent.snapshot import Snapshot
from dpg.envs.linear_quadratic import EPISODE_STEPS, TASK
from dpg.envs.make import make_vector
from dpg.learning import training
from dpg.learning.update import objective
from dpg.probes import batches, collection, landscape, landscape_plan
from dpg.probes.known_answers import closed_forms
from dpg.probes.known_answers.agents import known_agent, linear_policy
from dpg.probes.known_answers.closed_forms import ClosedLoop
from dpg.probes.landscape import Grid, PlaneShard, RewardShard
from dpg.probes.landscape_plan import EvaluationMeans, LandscapeSpec
from dpg.runtime.shards import open_context, run_shards
from dpg.streams.episodes import Episodes

FINE = np.array([[0.0, 0.0], [0.01, 0.0], [0.0, 1.0]])
SQUARE = Grid((0.0, 1.0), (0.0, 1.0), (2, 2))


@pytest.fixture(scope="module", params=["ppo", "trpo"])
def snapshot(request, make_recipe):
    recipe = make_recipe(request.param)
    envs = make_vector(recipe.env_id, 1)
    population = training.begin(recipe, envs, [0])
    for trained, _ in training.train(population, envs, recipe, [0], until=2):
        population = trained
    return Snapshot(0, recipe, population)


def plane_shard(snapshot, points=FINE, update_pairs=256):
    return PlaneShard(snapshot, points, update_pairs, random_norm=2.0, seed=0)


def reward_shard(snapshot, points, *, common_random_numbers=True, indices=None, first_episode=0, episodes_per_point=6):
    """Points along the last parameter, which is a log standard deviation."""
    size = snapshot.state.policy.shape[1]
    step, random = np.eye(size)[-1], np.zeros(size)
    where = np.arange(len(points)) if indices is None else indices
    plane = plane_shard(snapshot, points)
    return RewardShard(plane, step, random, where, first_episode, episodes_per_point, common_random_numbers)


# Points


def test_points_of_a_grid_that_is_not_square():
    grid = Grid((-1.0, 1.0), (0.0, 3.0), (3, 2))
    np.testing.assert_array_equal(grid.points, [[-1, 0], [-1, 3], [0, 0], [0, 3], [1, 0], [1, 3]])
    assert (grid.origin, grid.full_step) == (2, 4)
    np.testing.assert_array_equal(grid.along_step, [0, 2, 4])


def test_the_full_step_is_measured_where_the_grid_lacks_it():
    grid = Grid((0.0, 3.0), (-1.0, 1.0), (3, 3))
    np.testing.assert_array_equal(grid.measured[:-1], grid.points)
    np.testing.assert_array_equal(grid.measured[grid.full_step], [1, 0])
    assert grid.full_step == 9
    assert len(Grid((0.0, 3.0), (0.0, 3.0), (4, 4)).measured) == 16


def test_zero_is_zero_where_spacing_would_leave_it_a_little_off():
    grid = Grid((-0.3, 0.7), (-0.7, 1.4), (11, 4))
    assert np.linspace(-0.3, 0.7, 11)[3] != 0
    np.testing.assert_array_equal(grid.points[grid.origin], [0, 0])
    assert len(grid.along_step) == 11
    with pytest.raises(ValueError, match="origin"):
        _ = Grid((1.0, 2.0), (0.0, 1.0), (2, 2)).origin


def test_directions_span_the_plane_they_should(snapshot):
    plane = landscape.measure_plane(plane_shard(snapshot))
    assert np.linalg.norm(plane.random) == pytest.approx(2)
    assert 0 < np.linalg.norm(plane.step) < 2
    theta = landscape.policies(snapshot, np.array([[0.0, 0], [1, 0], [0, 1]]), plane.step, plane.random)
    np.testing.assert_array_equal(theta[0], snapshot.state.policy[0])
    np.testing.assert_allclose(theta[1] - theta[0], plane.step, atol=1e-6)
    np.testing.assert_allclose(theta[2] - theta[0], plane.random, atol=1e-6)


def test_regimes_have_steps_of_their_own_and_share_the_random_direction(snapshot):
    low, high = (landscape.measure_plane(plane_shard(snapshot, update_pairs=pairs)) for pairs in (256, 1280))
    assert not np.allclose(low.step, high.step)
    np.testing.assert_array_equal(low.random, high.random)
    assert high.trajectories > low.trajectories > 0


def test_the_step_starts_from_the_snapshots_own_optimiser(make_recipe):
    """PPO's Adam goes on: with other moments the same batch gives another step."""
    recipe = make_recipe("ppo")
    envs = make_vector(recipe.env_id, 1)
    *_, (population, _) = training.train(training.begin(recipe, envs, [0]), envs, recipe, [0], until=2)
    without = replace(population, policy_adam=training.begin(recipe, envs, [0]).policy_adam)
    shards = [plane_shard(Snapshot(0, recipe, state)) for state in (population, without)]
    steps = [landscape.measure_plane(shard).step for shard in shards]
    assert population.policy_adam.steps > 0
    assert not np.allclose(steps[0], steps[1], rtol=1e-3)


# The surrogate


def test_the_surrogate_is_the_objective_computed_directly(snapshot):
    """At the origin the mean of normalised advantages, 0. Its slope along a is the step's product with the gradient."""
    shard = plane_shard(snapshot)
    plane = landscape.measure_plane(shard)
    batch, _ = landscape.update_batch(shard)
    theta = torch.from_numpy(landscape.policies(snapshot, shard.points, plane.step, plane.random))
    direct = torch.stack([objective(snapshot.state, row[None], batch, snapshot.recipe)[0] for row in theta])
    np.testing.assert_allclose(plane.surrogate, direct.numpy(), atol=1e-6)
    assert plane.surrogate[0] == pytest.approx(0, abs=1e-6)
    at = theta[:1].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(snapshot.state, at, batch, snapshot.recipe).sum(), at)
    expected = float(gradient.numpy()[0] @ plane.step)
    assert expected > 0
    assert (plane.surrogate[1] - plane.surrogate[0]) / 0.01 == pytest.approx(expected, rel=0.05)
    # With the axes swapped the same difference is another number.
    assert (plane.surrogate[2] - plane.surrogate[0]) / 0.01 != pytest.approx(expected, rel=0.05)


def test_a_batch_in_parts_gives_the_surrogate_of_the_whole(snapshot, monkeypatch):
    whole = landscape.measure_plane(plane_shard(snapshot))
    monkeypatch.setattr(landscape, "PAIRS_AT_ONCE", 100)
    monkeypatch.setattr(landscape, "POINTS_AT_ONCE", 2)
    monkeypatch.setattr(batches, "STREAMS_AT_ONCE", 1)
    parts = landscape.measure_plane(plane_shard(snapshot))
    # Rounding alone differs, which conjugate gradients enlarge.
    np.testing.assert_allclose(parts.step, whole.step, atol=1e-3)
    np.testing.assert_allclose(parts.surrogate, whole.surrogate, atol=1e-4)


# The reward


@pytest.fixture(scope="module")
def linear_quadratic():
    """Two directions around an agent on LinearQuadratic-v0, the returns found on a grid there, and the true ones."""
    agent = known_agent("value net", 10)
    size = agent.snapshot.state.policy.shape[1]
    step, random = np.resize([0.3, -0.2, 0.1, 0.15], size), np.resize([-0.1, 0.25, 0.2], size)
    grid = Grid((-1.0, 1.0), (0.0, 1.0), (3, 2))
    shard = RewardShard(PlaneShard(agent.snapshot, grid.points, 10, 1.0, 0), step, random, np.arange(6), 0, 100, True)
    found = landscape.measure_rewards(shard).return_

    def truth(points: np.ndarray) -> np.ndarray:
        state = agent.snapshot.state
        policies = landscape.policies(agent.snapshot, points, step, random)
        loops = [ClosedLoop(TASK, linear_policy(state, theta)) for theta in policies]
        return np.array([closed_forms.episode_return(loop, EPISODE_STEPS) for loop in loops])

    return grid, found, truth


def deviations(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distances from the truth in standard errors."""
    return np.abs(found.mean(axis=1) - truth) / (found.std(axis=1, ddof=1) / np.sqrt(found.shape[1]))


def test_rewards_on_a_plane_are_those_of_the_closed_form(linear_quadratic):
    """All negative, on a grid that is not square. Six points within 4 standard errors: a false alarm in 2,600."""
    grid, found, truth = linear_quadratic
    assert np.all(found < 0)
    assert deviations(found, truth(grid.points)).max() < 4


def test_swapped_axes_and_a_moved_origin_would_be_seen(linear_quadratic):
    grid, found, truth = linear_quadratic
    assert deviations(found, truth(grid.points[:, ::-1])).max() > 10
    assert deviations(found, truth(grid.points + np.array([0.5, 0.0]))).max() > 10
    assert deviations(found, truth(grid.points + np.array([0.0, 0.5]))).max() > 10


def test_common_random_numbers_make_equal_points_equal(snapshot):
    same = np.zeros((2, 2))
    common, own = (
        landscape.measure_rewards(reward_shard(snapshot, same, common_random_numbers=shared)).return_
        for shared in (True, False)
    )
    np.testing.assert_allclose(common[0], common[1])
    assert not np.allclose(own[0], own[1])


@pytest.mark.parametrize("common_random_numbers", [True, False])
def test_points_and_episodes_are_the_same_however_they_are_cut(snapshot, common_random_numbers):
    points = np.array([[0.0, 0], [0.2, 0], [0.4, 0]])
    options = {"common_random_numbers": common_random_numbers}
    whole = landscape.measure_rewards(reward_shard(snapshot, points, **options)).return_
    part = reward_shard(snapshot, points, indices=np.array([0, 2]), first_episode=2, episodes_per_point=3, **options)
    np.testing.assert_allclose(landscape.measure_rewards(part).return_, whole[[0, 2], 2:5])


def test_a_landscape_does_without_a_batched_environment(snapshot, monkeypatch):
    """InvertedPendulum runs on Gymnasium's own vector environments, which cannot be parked."""
    envs = make_vector(snapshot.recipe.env_id, 2)
    assert isinstance(envs, SyncVectorEnv)
    points = np.array([[0.0, 0], [0.5, 0]])
    many = landscape.measure_rewards(reward_shard(snapshot, points, episodes_per_point=3))
    monkeypatch.setattr(collection, "MAX_ENVS_OF_POLICIES", 2)
    few = landscape.measure_rewards(reward_shard(snapshot, points, episodes_per_point=3))
    np.testing.assert_array_equal(many.length, few.length)


# What is measured


def wanted(grid=SQUARE, update_pairs=(128, 256), pair_budgets=(60, 120), **changes) -> LandscapeSpec:
    return replace(LandscapeSpec(grid, update_pairs, pair_budgets, 2.0, True, 0), **changes)


def test_budgets_hold_their_pairs_at_the_snapshots_length():
    spec = wanted(pair_budgets=(20, 100, 1000))
    assert spec.trajectories(30.0) == (2, 4, 34)
    assert spec.trajectories(10_000.0) == (2, 2, 2)


def test_every_point_and_episode_of_every_regime_is_measured_once(snapshot, monkeypatch):
    monkeypatch.setattr(landscape_plan, "PAIRS_PER_SHARD", 100)
    spec = wanted(grid=Grid((-1.0, 1.0), (0.0, 1.0), (3, 3)), pair_budgets=(250,))
    shards = landscape_plan.plan_planes(spec, [snapshot])
    planes = [landscape.Plane(np.zeros(1), np.zeros(1), 1, np.zeros(9))] * 2
    (plan,) = landscape_plan.plan_rewards(spec, shards, planes, [EvaluationMeans(25.0, 1.0)])
    seen = np.zeros((2, 9, 10), int)
    for part in plan.rewards:
        seen[
            np.ix_([shards.index(part.plane)], part.indices, part.first_episode + np.arange(part.episodes_per_point))
        ] += 1
        assert part.num_episodes * 25 <= 100
    assert np.all(seen[0] == 1)
    # Without the step the second regime's policies are the first one's.
    without = spec.grid.points[:, 0] == 0
    assert np.all(seen[1][without] == 0)
    assert np.all(seen[1][~without] == 1)


def test_results_find_their_place(snapshot, monkeypatch):
    monkeypatch.setattr(landscape_plan, "PAIRS_PER_SHARD", 8)
    spec = wanted(pair_budgets=(8,))
    shards = landscape_plan.plan_planes(spec, [snapshot])
    planes = [landscape.Plane(np.zeros(1), np.zeros(1), 1, np.zeros(4))] * 2
    plans = landscape_plan.plan_rewards(spec, shards, planes, [EvaluationMeans(1.0, 1.0)])

    def result(part: RewardShard) -> Episodes:
        episodes = part.first_episode + np.arange(part.episodes_per_point)
        value = 1000.0 * shards.index(part.plane) + 10 * part.indices[:, None] + episodes
        return Episodes(value, value.astype(np.int64))

    low, high = landscape_plan.measure(plans, lambda parts, _: map(result, parts))
    expected = 10.0 * np.arange(4)[:, None] + np.arange(8)
    np.testing.assert_array_equal(low.episodes.return_, expected)
    # Points 0 and 1 have nothing of the step.
    np.testing.assert_array_equal(high.episodes.return_, expected + np.array([[0], [0], [1000], [1000]]))
    np.testing.assert_array_equal(high.episodes.length, high.episodes.return_)


def measured(snapshot, context):
    spec = wanted()
    shards = landscape_plan.plan_planes(spec, [snapshot])
    planes = run_shards(landscape.measure_plane, shards, context, work=attrgetter("num_pairs"), title="directions")
    plans = landscape_plan.plan_rewards(spec, shards, planes, [EvaluationMeans(30.0, 1.0)])
    work = attrgetter("num_episodes")

    def run(rewards, part):
        return run_shards(landscape.measure_rewards, rewards, context, work=work, title=part, unit="episodes")

    return list(landscape_plan.measure(plans, run))


@pytest.mark.slow
@pytest.mark.parametrize("snapshot", ["ppo"], indirect=True)
def test_one_worker_and_two_find_the_same(snapshot, monkeypatch):
    found = []
    for jobs in ("1", "2"):
        monkeypatch.setenv("DPG_JOBS", jobs)
        with open_context() as context:
            found.append(measured(snapshot, context))
    for one, two in zip(*found, strict=True):
        for name in ("step", "random", "surrogate"):
            np.testing.assert_array_equal(getattr(one.plane, name), getattr(two.plane, name))
        np.testing.assert_array_equal(one.episodes.return_, two.episodes.return_)
    low, high = found[0]
    assert (low.shard.update_pairs, high.shard.update_pairs) == (128, 256)
    np.testing.assert_array_equal(low.reward[:2], high.reward[:2])
