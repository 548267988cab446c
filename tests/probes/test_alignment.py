"""What is said of surrogate and reward, against made-up landscapes whose numbers are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from dpg.agent.snapshot import Snapshot
from dpg.probes import alignment, resolution
from dpg.probes.landscape import Grid, Plane, PlaneShard
from dpg.probes.landscape_plan import Landscape, LandscapeSpec
from dpg.runtime.schema import Statistics
from dpg.streams.episodes import Episodes
from dpg.tables.landscape import Alignment, LandscapePoint, Resolution, SubsampledPoint

GRID = Grid((0.0, 2.0), (0.0, 1.0), (5, 3))
STATISTICS = Statistics(confidence=0.95, resample="estimates", resamples=300)


@pytest.fixture(scope="module")
def snapshot(make_recipe, make_population):
    return Snapshot(0, make_recipe("ppo"), make_population(1))


@pytest.fixture
def make(snapshot):
    """A landscape from a surrogate and returns; budgets have the first trajectories that are named."""

    def made(surrogate, returns, trajectories=None, *, paired=True, grid=GRID) -> Landscape:
        counts = trajectories or (returns.shape[1],)
        spec = LandscapeSpec(grid, (2000,), tuple(100 * count for count in counts), 2.0, paired, 0)
        shard = PlaneShard(snapshot, grid.measured, 2000, 2.0, 0)
        plane = Plane(np.array([3.0, 4.0]), np.array([0.0, 2.0]), 7, np.asarray(surrogate, float))
        episodes = Episodes(returns, np.full(returns.shape, 100))
        return Landscape(spec, shard, plane, episodes, counts)

    return made


def noisy(reward: np.ndarray, trajectories: int, *, own: float = 0.0, common: float = 0.0, seed: int = 0) -> np.ndarray:
    """Returns around a reward, with noise of each point's own and noise that all points share."""
    rng = np.random.default_rng(seed)
    shared = common * rng.standard_normal(trajectories)
    return reward[:, None] + shared + own * rng.standard_normal((len(reward), trajectories))


def relief(grid: Grid = GRID) -> np.ndarray:
    """A slope of 1 along the step and of -3.3 along the random direction."""
    return grid.points @ [1.0, -3.3]


def test_correlations_of_one_and_of_minus_one(make):
    surrogate = relief()
    for sign in (1.0, -1.0):
        row = alignment.align(make(surrogate, noisy(sign * surrogate**3, 8, common=50.0)), STATISTICS)
        assert row.grid_correlation == row.grid_correlation_low == row.grid_correlation_high == pytest.approx(sign)
        assert row.step_correlation == row.step_correlation_low == row.step_correlation_high == pytest.approx(sign)
        assert (row.points, row.step_points, row.trajectories, row.pairs) == (15, 5, 8, 15 * 8 * 100)


def test_the_correlation_along_the_step_is_not_that_of_the_grid(make):
    surrogate = relief()
    on_step = GRID.points[:, 1] == 0
    row = alignment.align(make(surrogate, noisy(np.where(on_step, -surrogate, surrogate), 4, common=1.0)), STATISTICS)
    assert row.step_correlation == pytest.approx(-1)
    assert row.grid_correlation > 0.4


def test_a_constant_surrogate_has_no_correlation(make):
    """As where TRPO's line search found no step."""
    row = alignment.align(make(np.zeros(15), noisy(relief(), 4, own=1.0)), STATISTICS)
    assert np.isnan([row.grid_correlation, row.grid_correlation_low, row.step_correlation]).all()
    assert np.isfinite(row.gain)


def test_the_gain_of_the_full_step_is_paired(make):
    """Noise that the points share falls out of their difference; without common random numbers nothing is shared."""
    returns = noisy(5 * relief(), 20, own=0.5, common=100.0)
    paired = alignment.align(make(relief(), returns), STATISTICS)
    difference = returns[GRID.full_step] - returns[GRID.origin]
    assert paired.gain == pytest.approx(difference.mean()) == pytest.approx(5, abs=0.6)
    half = 1.96 * difference.std(ddof=1) / np.sqrt(20)
    assert (paired.gain_high - paired.gain_low) / 2 == pytest.approx(half, rel=0.25)
    assert paired.gain_low < 5 < paired.gain_high
    apart = alignment.align(make(relief(), returns, paired=False), STATISTICS)
    assert apart.gain == paired.gain
    assert apart.gain_low < 0 < apart.gain_high
    assert paired.surrogate_gain == pytest.approx(1)
    assert paired.full_step_reward - paired.snapshot_reward == pytest.approx(paired.gain)


def test_the_interval_of_the_gain_covers_the_truth(make):
    """Nominally in 95 of 100 surveys; fewer than 88 of 100 has a chance of one in 300."""
    landscapes = [make(relief(), noisy(relief(), 12, own=2.0, seed=seed)) for seed in range(100)]
    rows = [alignment.align(landscape, STATISTICS) for landscape in landscapes]
    assert sum(row.gain_low <= 1 <= row.gain_high for row in rows) >= 88


def test_a_full_step_beside_the_grid_counts_for_the_gain_alone(make):
    grid = Grid((0.0, 3.0), (0.0, 1.0), (3, 2))
    values = np.append(relief(grid), 99.0)
    landscape = make(np.append(relief(grid), 0.0), noisy(values, 4, common=1.0), grid=grid)
    row = alignment.align(landscape, STATISTICS)
    assert row.gain == pytest.approx(99)
    assert (row.points, row.grid_correlation) == (6, pytest.approx(1))
    assert len(alignment.points(landscape)) == 6
    assert resolution.resolutions(landscape, 0.95)[0].point_pairs == 15


def test_budgets_have_the_first_trajectories_alone(make):
    returns = np.arange(15.0)[:, None] + np.array([[0.0, 2.0, 100.0, 200.0]])
    landscape = make(relief(), returns, (2, 4))
    rows = alignment.concentration(landscape)
    few, all_ = rows[:15], rows[15:]
    assert [row.reward for row in few] == [index + 1.0 for index in range(15)]
    assert {(row.budget_pairs, row.trajectories, row.pairs, row.reward_se) for row in few} == {(200, 2, 200, 1.0)}
    assert [row.reward for row in all_] == [row.reward for row in alignment.points(landscape)]
    assert [(row.step, row.random) for row in few] == [tuple(point) for point in GRID.points]


def test_pairs_of_points_are_resolved_where_their_difference_exceeds_its_error(make):
    """Two groups of points, far apart; within a group only noise, of which 5 % is taken for a difference."""
    upper = np.arange(15) >= 5
    landscape = make(relief(), noisy(1000.0 * upper, 400, own=1.0), (2, 400))
    for row in resolution.resolutions(landscape, 0.95):
        between, within = 50, 105 - 50
        false = row.own_resolved_share * 105 - between
        assert row.point_pairs == 105
        assert 0 <= false <= 0.25 * within


def test_common_noise_hides_nothing_where_it_is_paired(make):
    returns = noisy(relief(), 10, own=1e-3, common=50.0)
    (paired,) = resolution.resolutions(make(relief(), returns), 0.95)
    (apart,) = resolution.resolutions(make(relief(), returns, paired=False), 0.95)
    assert paired.shared_resolved_share > 0.95
    # A trainer does not meet the same noise twice: for it these points are equal, and 5 % of such pairs are resolved.
    assert paired.own_resolved_share == pytest.approx(0.05, abs=0.005)
    assert apart.own_resolved_share < 0.05
    assert np.isnan([apart.shared_resolved_share, apart.shared_noise_std, apart.shared_noise_share]).all()


@pytest.mark.parametrize("quiet", [2.0, 0.4])
def test_own_noise_resolves_what_independent_points_would(quiet, make):
    """Two groups of points, every other one as quiet as said; means over 60 surveys, nine tenths of the noise shared.

    Resolved shares have a deviation of 0.1 a survey; noise shares are ratios, and their means a little off.
    """
    reward = np.where(np.arange(15) < 5, 0.0, 3.0)
    scale = np.where(np.arange(15) % 2 == 0, quiet, 2.0)[:, None]

    def shares(seed: int, common: float) -> tuple[float, ...]:
        rng = np.random.default_rng(seed)
        unit = common**0.5 * rng.standard_normal(8) + (1 - common) ** 0.5 * rng.standard_normal((15, 8))
        (row,) = resolution.resolutions(make(relief(), reward[:, None] + scale * unit), 0.95)
        return row.own_resolved_share, row.own_noise_share, row.shared_resolved_share, row.shared_noise_share

    apart, together = (np.mean([shares(seed, common) for seed in range(60)], axis=0) for common in (0.0, 0.9))
    assert together[0] == pytest.approx(apart[0], abs=0.02)
    assert together[1] == pytest.approx(apart[1], abs=0.06)
    if quiet == 2.0:
        # Shared noise tells more pairs apart, and seems to leave none between neighbours.
        assert together[2] > apart[0] + 0.08
        assert together[3] < apart[1] - 0.3


def test_welchs_degrees_of_freedom():
    """Equal variances give 2 (n - 1), one that dwarfs the other n - 1, and SciPy's own for what lies between."""
    rng = np.random.default_rng(0)
    returns = rng.standard_normal((3, 6)) * [[1.0], [1000.0], [2.0]]
    found = resolution.welch_freedom(stats.sem(returns, axis=1) ** 2, 6)
    assert found[0, 0] == pytest.approx(10)
    assert found[0, 1] == pytest.approx(5, rel=1e-3)
    assert found[0, 2] == pytest.approx(stats.ttest_ind(returns[0], returns[2], equal_var=False).df)


def test_noise_between_neighbours_by_hand(make):
    """A flat landscape is all noise; a steep one hardly any, and its neighbours differ by what the slope says."""
    grid = Grid((0.0, 20.0), (0.0, 20.0), (21, 21))
    (flat,) = resolution.resolutions(make(relief(grid), noisy(np.zeros(441), 50, own=1.0), grid=grid), 0.95)
    assert flat.own_noise_share == pytest.approx(1, rel=0.15)
    assert flat.own_noise_std == pytest.approx(np.sqrt(2 / 50), rel=0.05)
    assert flat.reward_se == pytest.approx(np.sqrt(1 / 50), rel=0.1)
    (steep,) = resolution.resolutions(make(relief(grid), noisy(relief(grid), 50, own=1.0), grid=grid), 0.95)
    assert steep.own_noise_share < 0.02
    assert steep.neighbour_std == pytest.approx(np.sqrt((1 + 3.3**2) / 2), rel=0.05)


def test_neighbours_of_a_grid_that_is_not_square():
    first, second = resolution.neighbours((2, 3))
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [
        (0, 1), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (4, 5)
    ]  # fmt: skip


def test_rows_by_hand(make):
    returns = np.tile([[1.0, 3.0]], (15, 1))
    returns[2] = [-2.0, 0.0]
    row = alignment.points(make(np.arange(15.0), returns))[2]
    assert (row.step, row.random, row.surrogate, row.reward, row.reward_se) == (0.0, 1.0, 2.0, -1.0, 1.0)
    assert (row.step_norm, row.random_norm, row.trajectories, row.pairs, row.update_trajectories) == (
        5.0,
        2.0,
        2,
        200,
        7,
    )
    assert row.common_random_numbers


def test_tables_and_arrays_of_several_landscapes(make, snapshot):
    first = make(relief(), noisy(relief(), 4, own=1.0), (2, 4))
    other = replace(first, shard=replace(first.shard, update_pairs=4000))
    rows, arrays = alignment.tabulate([first, other], STATISTICS)
    assert {name: len(some) for name, some in rows.items()} == {
        LandscapePoint: 30,
        SubsampledPoint: 60,
        Resolution: 4,
        Alignment: 2,
    }
    name = "agent00-iteration00000"
    assert set(arrays) == {"points", f"{name}.random"} | {
        f"{name}.{pairs}.{part}" for pairs in (2000, 4000) for part in ("step", "surrogate", "reward")
    }
    np.testing.assert_array_equal(arrays["points"], GRID.points)
