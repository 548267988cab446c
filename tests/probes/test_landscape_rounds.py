"""Landscapes of a given precision: which points get further episodes, and that stopping does not move their means."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest

from benchmarks import stopping_bias
from dpg.agent.snapshot import Snapshot
from dpg.envs.make import make_vector
from dpg.learning import training
from dpg.probes import alignment, landscape, landscape_plan
from dpg.probes.landscape import Grid, Plane, RewardShard
from dpg.probes.landscape_plan import BATCH, FIRST_ROUND, EvaluationMeans, LandscapeSpec
from dpg.probes.resolution import resolutions
from dpg.runtime.schema import STATISTICS
from dpg.runtime.shard_cache import open_shard_cache
from dpg.runtime.shards import open_context, run_shards
from dpg.streams.episodes import Episodes

SQUARE = Grid((0.0, 1.0), (0.0, 1.0), (2, 2))
SPEC = LandscapeSpec(SQUARE, (2000, 4000), (70, 400), 2.0, True, 0, target_error=0.1)
OWN = EvaluationMeans(length=1.0, return_=-10.0)  # so that the target is an error of 1


@pytest.fixture(scope="module")
def snapshot(make_recipe, make_population):
    return Snapshot(0, make_recipe("ppo"), make_population(1))


def plan(spec: LandscapeSpec, *snapshots: Snapshot, evaluated: Sequence[EvaluationMeans] = (OWN,)):
    shards = landscape_plan.plan_planes(spec, snapshots)
    planes = [Plane(np.zeros(1), np.zeros(1), 1, np.arange(4.0))] * len(shards)
    return landscape_plan.plan_rewards(spec, shards, planes, evaluated)


def made_up(deviation: dict[int, list[float]], names: list[str] | None = None, *, slope: float = 100.0, seed: int = 0):
    """Episodes of the points 0 to 3 with noise of their own, by the regime, around `slope` times the point's number.

    All points share noise of deviation 5.
    """
    rng = np.random.default_rng(seed)
    shared = 5 * rng.standard_normal(400)
    own = {regime: np.outer(each, np.ones(400)) * rng.standard_normal((4, 400)) for regime, each in deviation.items()}

    def run(shards: list[RewardShard], name: str) -> Iterator[Episodes]:
        if names is not None:
            names.append(name)
        for part in shards:
            first, last = part.first_episode, part.first_episode + part.episodes_per_point
            noise = shared[first:last] + own[part.plane.update_pairs][part.indices, first:last]
            yield Episodes(slope * part.indices[:, None] + noise, np.ones(noise.shape, np.int64))

    return run


# Point 1 of the second regime is the first one's. The origin has only the shared noise.
DEVIATION = {2000: [0.0, 1.0, 12.0, 500.0], 4000: [0.0, 0.0, 1.0, 9.0]}
FLAT = {2000: [0.0] * 4, 4000: [0.0] * 4}


# Rounds


def test_without_a_target_there_is_one_round_of_the_same_number_everywhere(snapshot):
    names: list[str] = []
    plans = plan(replace(SPEC, target_error=None), snapshot)
    for found in landscape_plan.measure(plans, made_up(DEVIATION, names)):
        assert found.counts().tolist() == [400] * 4
        np.testing.assert_array_equal(found.returns(), found.episodes.return_)
    assert names == ["rewards"]


@pytest.mark.parametrize("smaller", [(), (70,), (300,)])
def test_rounds_are_of_whole_batches_up_to_the_most(smaller):
    """The first one holds the smaller budgets and what the rule needs; there are few of them."""
    after = SPEC.schedule((*smaller, 50_000))
    assert after[0] >= max((FIRST_ROUND, *smaller))
    assert after[-1] == 50_000
    assert np.all(np.array(after[:-1]) % BATCH == 0)
    assert np.all(np.diff(after) > 0)
    assert len(after) < 40
    assert SPEC.schedule((*smaller, 20)) == (20,)


def test_points_that_meet_the_target_stop_and_the_snapshot_goes_on_for_the_rest(snapshot):
    names: list[str] = []
    low, high = landscape_plan.measure(plan(SPEC, snapshot), made_up(DEVIATION, names))
    first = -(-70 // BATCH) * BATCH
    assert low.counts()[[0, 1, 3]].tolist() == [400, first, 400]
    assert first < low.counts()[2] < 400
    assert high.counts()[[0, 1, 2]].tolist() == [400, first, first]
    # The first regime's further episodes of points that the second one does not share are not among its own.
    assert np.isnan(high.episodes.return_[2, first:]).all()
    assert high.episodes.length[2].sum() == first
    for found in (low, high):
        met = found.counts() < 400
        assert np.all(found.difference_errors[met] <= 1.0)
    assert low.difference_errors[3] > 1.0
    assert names[:2] == ["rewards", "rewards, round 2"]


def test_a_landscape_that_meets_the_target_at_once_is_done(snapshot):
    names: list[str] = []
    found = landscape_plan.measure(plan(SPEC, snapshot), made_up(FLAT, names))
    assert [each.counts().max() for each in found] == [96, 96]
    assert names == ["rewards"]


@pytest.mark.parametrize("return_", [0.0, 1e-9])
def test_a_snapshot_without_a_return_has_no_small_error(snapshot, return_):
    """All points but those that differ from it by nothing at all get the most."""
    plans = plan(SPEC, snapshot, evaluated=[EvaluationMeans(1.0, return_)])
    low, high = landscape_plan.measure(plans, made_up(DEVIATION))
    assert low.counts().tolist() == high.counts().tolist() == [400] * 4
    plans = plan(SPEC, snapshot, evaluated=[EvaluationMeans(1.0, return_)])
    flat = landscape_plan.measure(plans, made_up(FLAT))
    assert next(flat).counts()[0] == 96


def test_points_that_share_no_noise_are_judged_by_the_errors_of_both(snapshot):
    """The noise of deviation 5 that falls out of paired differences needs at least 50 episodes: 2 * 5² / 50 = 1²."""
    spec = replace(SPEC, pair_budgets=(400,))
    paired, apart = (
        next(
            landscape_plan.measure(plan(replace(spec, target_error=0.07, common_random_numbers=shared), snapshot), run)
        )
        for shared, run in ((True, made_up(FLAT)), (False, made_up(FLAT)))
    )
    assert paired.counts().max() == FIRST_ROUND
    assert apart.counts().min() > FIRST_ROUND


def test_every_snapshot_decides_for_itself(snapshot):
    """So that a landscape does not depend on what is measured with it."""
    other, longer = replace(snapshot, agent=1), replace(snapshot, agent=2)
    quiet, noisy = made_up({regime: [0.0, 0.1, 0.1, 0.1] for regime in DEVIATION}), made_up(DEVIATION)

    def run(shards: list[RewardShard], name: str) -> Iterable[Episodes]:
        for part in shards:
            yield from (quiet if part.snapshot is other else noisy)([part], name)

    twice = EvaluationMeans(2 * OWN.length, OWN.return_)
    plans = plan(SPEC, snapshot, other, longer, evaluated=(OWN, OWN, twice))
    together = list(landscape_plan.measure(plans, run))
    alone = list(landscape_plan.measure(plan(SPEC, snapshot), noisy))
    for one, two in zip(together[:2], alone, strict=True):
        np.testing.assert_array_equal(one.episodes.return_, two.episodes.return_)
    assert [each.counts().max() for each in together] == [400, 400, 96, 96, 200, 200]


def test_tables_say_what_every_point_has(snapshot):
    low, _ = landscape_plan.measure(plan(SPEC, snapshot), made_up(DEVIATION))
    known = low.counts()
    rows = alignment.points(low)
    assert [row.trajectories for row in rows] == known.tolist() == [row.pairs for row in rows]
    # Differences from the snapshot are those of common episodes, whose shared noise falls out.
    assert rows[1].reward - rows[0].reward == pytest.approx(100, abs=3 * 1.0 / known[1] ** 0.5)
    few, all_ = np.split(np.array([row.trajectories for row in alignment.concentration(low)]), 2)
    assert few.tolist() == [70] * 4
    assert all_.tolist() == known.tolist()
    small, large = resolutions(low, 0.95)
    assert (small.trajectories, large.trajectories) == (70, known.min())
    assert large.pairs == known.mean()
    arrays = alignment.arrays_of(low)
    (error,) = (array for name, array in arrays.items() if name.endswith(".2000.difference_se"))
    assert np.all(error[known < known.max()] <= 1.0)
    row = alignment.align(low, STATISTICS)
    assert (row.trajectories, row.pairs) == (known.min(), known.sum())
    # The full step is point 2.
    assert row.gain == pytest.approx(rows[2].reward - rows[0].reward)
    assert (row.gain_high - row.gain_low) / 4 == pytest.approx(low.difference_errors[2], rel=0.15)


def test_what_independent_points_would_show_does_not_depend_on_the_target(snapshot):
    """So a claim from a budget of pairs is not decided by where points stopped; means over 60 landscapes."""

    def own_shares(spec: LandscapeSpec, seed: int) -> tuple[float, float, int]:
        run = made_up({regime: [0.0, 2.0, 2.0, 4.0] for regime in DEVIATION}, slope=1.0, seed=seed)
        low, _ = landscape_plan.measure(plan(spec, snapshot), run)
        large = resolutions(low, 0.95)[-1]
        return large.own_noise_share, large.own_resolved_share, int(low.counts().sum())

    target = replace(SPEC, target_error=0.03)
    whole, stopped = (
        np.mean([own_shares(spec, seed) for seed in range(60)], axis=0)
        for spec in (replace(SPEC, target_error=None), target)
    )
    assert stopped[2] < 0.8 * whole[2]
    np.testing.assert_allclose(stopped[:2], whole[:2], atol=0.06)


def test_an_interrupted_landscape_resumes_in_the_middle_of_its_rounds(make_recipe, tmp_path, monkeypatch):
    """The rounds before are the same again, and come from the cache; one worker and two find the same."""
    recipe = make_recipe("ppo")
    envs = make_vector(recipe.env_id, 1)
    agent = Snapshot(0, recipe, training.begin(recipe, envs, [0]))
    spec = replace(SPEC, update_pairs=(128,), pair_budgets=(4000,), target_error=0.02)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    shards = landscape_plan.plan_planes(spec, [agent])
    planes = [landscape.measure_plane(shard) for shard in shards]

    def measured(context, *, until: str = "") -> tuple[landscape_plan.Landscape, list[str]]:
        names: list[str] = []

        def run(rewards, name):
            if name == until:
                raise InterruptedError
            names.append(name)
            work = attrgetter("num_episodes")
            return run_shards(landscape.measure_rewards, rewards, context, work=work, title=name, unit="episodes")

        plans = landscape_plan.plan_rewards(spec, shards, planes, [EvaluationMeans(20.0, 20.0)])
        return next(landscape_plan.measure(plans, run)), names

    monkeypatch.setenv("DPG_JOBS", "1")
    with open_context() as context:
        whole, names = measured(context)
    assert len(names) > 2
    assert len(set(whole.counts().tolist())) > 1
    monkeypatch.setenv("DPG_JOBS", "2")
    with pytest.raises(InterruptedError), open_shard_cache("test", "cell", {}) as cache, open_context(cache) as context:
        measured(context, until=names[2])
    before = context.usage.shards
    with open_shard_cache("test", "cell", {}) as cache, open_context(cache) as context:
        again, _ = measured(context)
    assert context.usage.resumed == before > 0
    np.testing.assert_array_equal(again.episodes.return_, whole.episodes.return_)


# Stopping and the means

LANDSCAPES = 400


@pytest.fixture(scope="module")
def linear_quadratic():
    """Two policies with their returns in tens of thousands of episodes, and the true difference of their means.

    `tests/probes/test_landscape.py` has the probe's returns against the closed form.
    """
    return stopping_bias.make(LANDSCAPES * stopping_bias.MOST)


@pytest.fixture
def errors(linear_quadratic) -> Callable[[], np.ndarray]:
    """How far the differences of many independent landscapes are from the truth, in units of the target error."""
    return lambda: linear_quadratic.errors(np.split(linear_quadratic.returns, LANDSCAPES, axis=1))


def bias(errors: np.ndarray) -> float:
    """The mean in standard errors."""
    return float(abs(errors.mean()) / (errors.std(ddof=1) / len(errors) ** 0.5))


@pytest.mark.slow
def test_stopping_on_errors_leaves_the_means_where_they_are(errors):
    """A false alarm in 15,000; and the errors of the differences are what was asked for, no larger."""
    found = errors()
    assert bias(found) < 4
    assert (found**2).mean() ** 0.5 < 1.1


def test_stopping_after_two_episodes_would_be_seen(errors, monkeypatch):
    """Two that lie close together lie on the side where the distribution is dense."""
    monkeypatch.setattr(landscape_plan, "FIRST_ROUND", 2)
    monkeypatch.setattr(landscape_plan, "BATCH", 2)
    found = errors()
    assert bias(found) > 5
    assert (found**2).mean() ** 0.5 > 1.5


def test_stopping_on_means_would_be_seen(errors, linear_quadratic, monkeypatch):
    """A point that looks better than it is gets no more episodes."""
    truth = linear_quadratic.truth

    def by_mean(returns, origin, *, paired):
        return np.where(np.nanmean(returns - returns[origin], axis=1) > truth, 0.0, np.inf)

    monkeypatch.setattr(landscape_plan, "difference_errors", by_mean)
    assert bias(errors()) > 5
