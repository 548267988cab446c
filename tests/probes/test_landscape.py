"""The landscape probe: where its points lie, what the surrogate is there, and how rewards are assigned."""

import numpy as np
import pytest
import torch

from dpg.agent.acting import Actor
from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.learning import training
from dpg.learning.batch import prepare
from dpg.learning.update import objective
from dpg.probes import landscape
from dpg.probes.collection import probe_seed
from dpg.streams.episodes import Episodes
from dpg.streams.rollout import collect

FINE = landscape.Grid((0.0, 0.01), (0.0, 1.0), (2, 3))


@pytest.fixture(scope="module", params=["ppo", "trpo"])
def snapshot(request, make_recipe):
    recipe = make_recipe(request.param)
    envs = make_vector(recipe.env_id, 1)
    population = training.begin(recipe, envs, [0])
    for trained, _ in training.train(population, envs, recipe, [0], until=2):
        population = trained
    return Snapshot(0, recipe, population)


def plane_shard(snapshot, grid=FINE):
    return landscape.PlaneShard(snapshot, grid, update_pairs=256, random_norm=2.0, seed=0)


def test_points_of_a_grid_that_is_not_square():
    grid = landscape.Grid((-1.0, 1.0), (0.0, 3.0), (3, 2))
    np.testing.assert_array_equal(grid.points, [[-1, 0], [-1, 3], [0, 0], [0, 3], [1, 0], [1, 3]])


def test_directions_span_the_plane_they_should(snapshot):
    plane = landscape.measure_plane(plane_shard(snapshot))
    assert np.linalg.norm(plane.random) == pytest.approx(2)
    assert 0 < np.linalg.norm(plane.step) < 2
    theta = landscape.policies(snapshot, np.array([[0.0, 0], [1, 0], [0, 1]]), plane.step, plane.random)
    np.testing.assert_array_equal(theta[0], snapshot.state.policy[0])
    np.testing.assert_allclose(theta[1] - theta[0], plane.step, atol=1e-6)
    np.testing.assert_allclose(theta[2] - theta[0], plane.random, atol=1e-6)


def update_batch(snapshot):
    """The batch that the shard's update is made from, collected again."""
    recipe = snapshot.recipe
    node = probe_seed(0, "landscape", snapshot)
    envs = make_vector(recipe.env_id, 2)
    seeds = [node / "update" / f"stream={index}" for index in range(2)]
    streams = collect(Actor.of(snapshot.state), envs, seeds, recipe.common.timesteps, clip_actions=True)
    return prepare(snapshot.state, streams, recipe.common, recipe.config)


def test_the_surrogate_at_the_origin_and_its_slope_along_the_step(snapshot):
    """At the origin the mean of normalised advantages: 0. Its slope along a is the step's product with the gradient."""
    plane = landscape.measure_plane(plane_shard(snapshot))
    surrogate = plane.surrogate.reshape(FINE.shape)
    assert surrogate[0, 0] == pytest.approx(0, abs=1e-6)
    theta = torch.from_numpy(snapshot.state.policy).requires_grad_()
    value = objective(snapshot.state, theta, update_batch(snapshot), snapshot.recipe)
    (gradient,) = torch.autograd.grad(value.sum(), theta)
    slope = (surrogate[1, 0] - surrogate[0, 0]) / 0.01
    expected = float(gradient.numpy()[0] @ plane.step)
    assert expected > 0
    assert slope == pytest.approx(expected, rel=0.05)
    # With the axes swapped the same difference is another number.
    swapped = (surrogate[0, 1] - surrogate[0, 0]) / 0.01
    assert swapped != pytest.approx(expected, rel=0.05)


def test_common_random_numbers_make_equal_points_equal(snapshot):
    theta = np.repeat(snapshot.state.policy, 2, axis=0)
    common, own = (
        landscape.measure_rewards(landscape.RewardShard(snapshot, theta, 0, 6, common_random_numbers, seed=0)).return_
        for common_random_numbers in (True, False)
    )
    np.testing.assert_allclose(common[0], common[1])
    assert not np.allclose(own[0], own[1])


def test_episodes_a_point_hold_the_pairs_asked_for_and_points_keep_their_place(snapshot):
    theta = np.repeat(snapshot.state.policy, 10, axis=0)
    shards = landscape.plan_rewards(snapshot, theta, 30.0, 100, common_random_numbers=False, seed=0, points_per_shard=4)
    assert [(shard.first_point, len(shard.policies)) for shard in shards] == [(0, 4), (4, 4), (8, 2)]
    assert {shard.num_episodes for shard in shards} == {4}
    together = landscape.measure_rewards(landscape.RewardShard(snapshot, theta[:2], 3, 2, False, 0)).return_
    alone = landscape.measure_rewards(landscape.RewardShard(snapshot, theta[:1], 4, 2, False, 0)).return_
    np.testing.assert_allclose(together[1], alone[0])


def test_rows_by_hand(snapshot):
    grid = landscape.Grid((0.0, 1.0), (0.0, 1.0), (2, 2))
    plane = landscape.Plane(np.array([3.0, 4.0]), np.array([0.0, 2.0]), np.arange(4.0))
    results = [
        Episodes(np.array([[1.0, 3.0], [5.0, 5.0]]), np.array([[10, 20], [1, 1]])),
        Episodes(np.array([[-2.0, 0.0], [7.0, 9.0]]), np.array([[2, 2], [3, 3]])),
    ]
    rows = landscape.tabulate(plane_shard(snapshot, grid), plane, results, common_random_numbers=True)
    assert [(row.step, row.random, row.surrogate) for row in rows] == [(0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 3)]
    assert [row.reward for row in rows] == [2, 5, -1, 8]
    assert [row.reward_se for row in rows] == pytest.approx([1, 0, 1, 1])
    assert [row.pairs for row in rows] == [30, 2, 4, 6]
    assert rows[0].step_norm == pytest.approx(5)
