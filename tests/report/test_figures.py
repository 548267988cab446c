"""What is drawn is what the tables say, on axes that are named."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpg.report import style
from dpg.report.experiment import select
from dpg.report.figures import (
    ablation,
    alignment,
    baselines,
    concentration,
    gradient,
    landscape,
    regimes,
    rewards,
    true_value,
    update_gain,
    update_step,
    value,
)
from dpg.report.figures.catalog import instances
from dpg.tables.checkpoint import Evaluation
from dpg.tables.gradient import Similarity
from dpg.tables.landscape import Alignment, LandscapePoint, Resolution, SubsampledPoint
from dpg.tables.training import AblationHistory, History, RegimeHistory
from dpg.tables.true_value import StateErrors, StateValue
from dpg.tables.update_gain import AgentsGain
from dpg.tables.value import PredictionError

T = 200


def line(axes: Axes, label: str) -> np.ndarray:
    """The data of the one line with a label, as (x, y)."""
    (found,) = [line for line in axes.get_lines() if line.get_label() == label]
    return np.array([found.get_xdata(), found.get_ydata()], float)


def labels(axes: Axes) -> list[str]:
    return [str(line.get_label()) for line in axes.get_lines()]


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


@pytest.mark.slow
def test_every_figure_has_a_name_a_caption_labelled_axes_and_no_warnings(many, statistics, tmp_path):
    found = instances(many)
    names = [drawing.name for drawing in found]
    assert len(set(names)) == len(names) == 2 + 2 * 12 + 6 * 4
    assert {"sec22_no_baseline", "fig03_regimes_Walker2d-v4"} <= set(names)
    assert {"fig09_rewards", "fig01_gradient_variance_Hopper-v4", "fig07_cut_Walker2d-v4_trpo"} <= set(names)
    # Of cells that differ in nothing but their numbers, one is drawn.
    drawn = [drawing for drawing in found if not drawing.name.endswith(("_ppo_m", "_trpo", "_m_N200", "_trpo_N200"))]
    assert len(drawn) < len(found) - 10
    for drawing in drawn:
        figure = drawing.draw()
        style.save(figure, tmp_path, drawing.name, ["png"], dpi=40)
        assert figure.get_figwidth() <= style.WIDTH
        assert "figure" in drawing.caption.lower()
        assert "nan" not in drawing.caption
        assert_labelled(drawing.name, figure)


def assert_labelled(name: str, figure: Figure) -> None:
    """Every axis by itself, or by the label at the edge of its row (y) or column (x) of panels."""
    places = [(axes, axes.get_position()) for axes in panels(figure)]
    for axes, place in places:
        if axes.name == "3d":
            assert all([axes.get_xlabel(), axes.get_ylabel(), axes.get_zlabel()])
            continue
        row = [other.get_ylabel() for other, at in places if abs(at.y0 - place.y0) < 0.01]
        column = [other.get_xlabel() for other, at in places if abs(at.x0 - place.x0) < 0.01]
        assert any(row), name
        assert any(column) or axes.get_label() == "<colorbar>", name


# Updates


def test_updates_draw_agents_and_their_mean(experiment, statistics):
    left, right = panels(update_step.FIGURE.draw(experiment))
    np.testing.assert_allclose(line(left, "agent=2"), [[0, 2, 4], [0.4, 0.2, 0.0]], atol=1e-12)
    np.testing.assert_allclose(line(left, "mean"), [[0, 2, 4], [0.5, 0.3, 0.1]], atol=1e-12)
    np.testing.assert_allclose(line(right, "mean"), [[0, 2, 4], [0.02] * 3])
    assert right.get_ylabel().endswith("(nats)")


# Baselines


def test_baselines_are_drawn_over_agents_by_way(experiment, statistics):
    """Two ways, two checkpoints; the mean over agents adds the mean of k / 10."""
    figure = baselines.COSINES.draw(experiment)
    gae, _, returns, _ = panels(figure)
    np.testing.assert_allclose(line(gae, "true value"), [[50, 200, 1000], [0.12, 0.18, 0.5]])
    np.testing.assert_allclose(line(returns, "zero"), [[50, 200, 1000], [0.0525, 0.06, 0.1]])
    assert gae.get_xlim()[0] == 0
    assert gae.get_xscale() == "linear"
    assert set(line(gae, "T")[0]) == {T}


def test_differences_are_drawn_with_their_own_intervals(experiment, statistics):
    gae, *_ = panels(baselines.DIFFERENCES.draw(experiment))
    np.testing.assert_allclose(line(gae, "value net over zero"), [[50, 200, 1000], [0.01, 0.04, 0.2]])
    band = gae.collections[1].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (pytest.approx(0.01 - 0.05), pytest.approx(0.2 + 0.05))


def test_the_fit_shows_its_loss_and_both_nets(experiment, statistics):
    loss, explained, error = panels(true_value.FIT.draw(experiment))
    np.testing.assert_allclose(line(loss, "iteration=4, agent=1"), [[1, 2, 3], [1.2, 0.7, 1 / 3 + 0.2]])
    np.testing.assert_allclose(line(explained, "true value"), [[0, 4], [0.8, 0.8]])
    np.testing.assert_allclose(line(explained, "value net"), [[0, 4], [0.4, 0.4]])
    np.testing.assert_allclose(line(error, "value net"), [[0, 4], [np.sqrt(0.5)] * 2])
    np.testing.assert_allclose(line(error, "true value"), [[0, 4], [np.sqrt(0.005)] * 2])
    assert error.get_yscale() == "log"


def test_states_lie_on_the_line_where_a_net_is_right(experiment, statistics):
    axes, _ = panels(true_value.STATES.draw(experiment))
    x, y = line(axes, "true value")
    np.testing.assert_allclose(y, x + 0.5)
    np.testing.assert_allclose(line(axes, "value net")[1], x / 2)
    assert len(x) == 3 * 4
    # Student's t for 7 degrees of freedom is 2.365.
    (bars, _) = axes.containers
    np.testing.assert_allclose(np.ptp(bars.lines[2][0].get_segments()[0][:, 0]), 2 * 2.365 * 0.25, rtol=1e-3)


def test_a_task_that_cannot_be_set_is_drawn_and_says_so(experiment, statistics):
    states = experiment[StateValue].assign(rollouts=0, rollout_mean=np.nan, rollout_se=np.nan)
    opinions = experiment[StateErrors].assign(rollouts=0, relative_error=np.nan)
    axes, _ = panels(true_value.STATES.draw(experiment.replace({StateValue: states})))
    assert "no rollouts" in axes.texts[0].get_text()
    assert "cannot be put into a state" in true_value.STATES.caption(experiment.replace({StateValue: states}))
    true_value.FIT.draw(experiment.replace({StateErrors: opinions})).draw_without_rendering()
    assert "cannot be put into a state" in true_value.FIT.caption(experiment.replace({StateErrors: opinions}))


# Rewards


def test_rewards_draw_agents_means_and_evaluations(experiment, statistics):
    (axes,) = panels(rewards.FIGURE.draw(experiment))
    pairs = [T * (i + 1) for i in range(8)]
    np.testing.assert_allclose(line(axes, "mean"), [pairs, [10 * i + 1 for i in range(8)]])
    np.testing.assert_allclose(line(axes, "agent=2"), [pairs, [10 * i + 2 for i in range(8)]])
    (container,) = axes.containers
    points = container.lines[0]
    # Sampled returns at iterations 0 and 4: 0, 3, 6 and 400, 403, 406; where the batches of those iterations lie.
    np.testing.assert_allclose(points.get_xydata(), [[T, 3], [5 * T, 403]])
    assert axes.get_title() == "Hopper-v4"


def test_rewards_step_over_iterations_without_episodes(experiment, statistics):
    history = experiment[History]
    history.loc[(history["agent"] == 1) & (history["iteration"] == 3), "mean_return"] = np.nan
    history.loc[history["iteration"] == 5, "mean_return"] = np.nan
    (axes,) = panels(rewards.FIGURE.draw(experiment.replace({History: history})))
    assert 6 * T not in line(axes, "mean")[0]
    pairs, returns = line(axes, "mean")
    assert returns[pairs == 4 * T] == [31.0]  # of 30 and 32: agent 1 is missing
    assert line(axes, "agent=1")[0].tolist() == [T, 2 * T, 3 * T, 5 * T, 7 * T, 8 * T]


def test_rewards_of_agents_that_are_not_evaluated_yet_are_drawn_alone(many):
    figure = rewards.FIGURE.draw(many.replace({Evaluation: many[Evaluation][:0]}))
    style.render(figure, [], dpi=40)  # solves the layout: one that fails is a warning
    assert all(axes.get_position().width > 0.3 for axes in panels(figure))


def test_rewards_have_a_panel_for_each_task_and_a_line_for_each_algorithm(many, statistics):
    figure = rewards.FIGURE.draw(many)
    assert [axes.get_title() for axes in panels(figure)] == ["Hopper-v4", "Walker2d-v4"]
    for axes in panels(figure):
        means = [line for line in axes.get_lines() if line.get_label() == "mean"]
        assert [line.get_color() for line in means] == [many.style(name).color for name in ("ppo", "ppo_m", "trpo")]
    (legend,) = figure.legends
    assert {"PPO", "PPO-M", "TRPO"} <= {text.get_text() for text in legend.get_texts()}


def test_a_single_agent_is_drawn_without_an_interval(experiment, statistics):
    alone = experiment.where(agent=0)
    (axes,) = panels(rewards.FIGURE.draw(alone))
    np.testing.assert_allclose(line(axes, "mean")[1], [10 * i for i in range(8)])
    assert "0 agents" not in rewards.FIGURE.caption(alone)


# Ablation


def test_the_ablation_draws_both_trainings_and_states_their_ratio(experiment, statistics):
    (axes,) = panels(ablation.FIGURE.draw(experiment))
    pairs = [T * (i + 1) for i in range(8)]
    np.testing.assert_allclose(line(axes, "value net"), [pairs, [10 * i + 1 for i in range(8)]])
    np.testing.assert_allclose(line(axes, "no baseline (b = 0)"), [pairs, [i + 0.1 for i in range(8)]])
    assert set(line(axes, "zero")[1]) == {0}
    assert axes.get_ylim()[0] <= 0  # heights are in the ratio that the title states
    assert axes.get_yscale() == "linear"
    assert axes.get_title().startswith("PPO\nb = 0 / value net: 0.10 [")


def test_the_ablation_has_a_row_for_each_task_and_a_panel_for_each_algorithm(many, statistics):
    without = many[AblationHistory]
    without.loc[(without["env"] == "Walker2d-v4") & (without["algorithm"] == "trpo"), "mean_return"] = 7.0
    figure = ablation.FIGURE.draw(many.replace({AblationHistory: without}))
    assert [axes.get_title().split("\n")[0] for axes in panels(figure)] == ["PPO", "PPO-M", "TRPO"] * 2
    assert [axes.get_ylabel().split("\n")[0] for axes in panels(figure)[::3]] == ["Hopper-v4", "Walker2d-v4"]
    flat = [set(line(axes, "no baseline (b = 0)")[1]) == {7.0} for axes in panels(figure)]
    assert flat == [False] * 5 + [True]


def test_the_ablation_leaves_out_algorithms_that_were_not_trained_without_a_baseline(many):
    without = select(many[AblationHistory], algorithm="ppo")
    some = many.replace({AblationHistory: without})
    assert [axes.get_title().split("\n")[0] for axes in panels(ablation.FIGURE.draw(some))] == ["PPO"] * 2
    assert "TRPO" not in ablation.FIGURE.caption(some)


def test_an_ablation_without_a_ratio_says_so(experiment, statistics):
    negative = experiment[History].assign(mean_return=-1.0)
    (axes,) = panels(ablation.FIGURE.draw(experiment.replace({History: negative})))
    assert axes.get_title().endswith("not defined")
    assert "ratio not defined" in ablation.FIGURE.caption(experiment.replace({History: negative}))
    (axes,) = panels(ablation.FIGURE.draw(experiment.where(agent=0)))
    assert axes.get_title().endswith("value net: 0.10")


# Regimes


def test_regimes_draw_every_rate_at_every_size_and_mark_the_best(experiment, statistics):
    small, large = panels(regimes.FIGURE.draw(experiment))
    ends = [5 * T, 10 * T]  # at both sizes, a point is the mean over an iteration of the larger
    low, high = 10 * np.arange(10) + 1, 40 * np.minimum(np.arange(10), 10 - np.arange(10))
    np.testing.assert_allclose(line(small, "lr=0.0001"), [ends, low.reshape(2, 5).mean(axis=1)])
    np.testing.assert_allclose(line(small, "lr=0.0004"), [ends, high.reshape(2, 5).mean(axis=1)])
    np.testing.assert_allclose(line(large, "lr=0.0001"), [ends, [1, 11]])
    np.testing.assert_allclose(line(large, "lr=0.0004"), [ends, [0, 40]])
    np.testing.assert_allclose(line(small, "best"), [[10 * T], [71]])
    np.testing.assert_allclose(line(large, "best"), [[10 * T], [40]])
    assert [axes.get_title() for axes in (small, large)] == [
        "T = 200 pairs an iteration\nbest rate: 1e-4",
        "T = 1,000 pairs an iteration\nbest rate: 4e-4",
    ]
    assert small.get_ylim() == large.get_ylim()
    band = small.collections[0].get_paths()[0].get_extents()
    # Of 20, 21 and 22, and of 70, 71 and 72: Student's t with two degrees of freedom, 4.3027 / sqrt(3).
    assert (band.y0, band.y1) == pytest.approx((21 - 2.4841, 71 + 2.4841), abs=1e-3)


def test_points_of_regimes_are_means_over_the_iterations_in_which_an_episode_ended():
    history = pd.DataFrame(
        [(1e-4, agent, T * (i + 1), 10.0 * i + agent) for agent in range(2) for i in range(5)],
        columns=["lr", "agent", "pairs", "mean_return"],
    )
    history.loc[history["pairs"] == 2 * T, "mean_return"] = np.nan
    points = regimes.block_means(history, 2 * T)  # the last pairs are no full block
    assert points["pairs"].tolist() == [2 * T, 4 * T, 5 * T] * 2
    np.testing.assert_allclose(points["mean_return"], [0, 25, 40, 1, 26, 41])
    np.testing.assert_allclose(regimes.block_means(history, T)["mean_return"], history["mean_return"])


def test_a_rate_looks_the_same_at_every_size(experiment, statistics):
    figure = regimes.FIGURE.draw(experiment)
    for label in ("lr=0.0001", "lr=0.0004"):
        drawn = [found for axes in panels(figure) for found in axes.get_lines() if found.get_label() == label]
        assert len({(found.get_color(), found.get_linestyle()) for found in drawn}) == 1
    (legend,) = figure.legends
    assert {"rate 1e-4", "rate 4e-4", "best rate at this T"} <= {text.get_text() for text in legend.get_texts()}


@pytest.mark.parametrize("sizes", [1, 4, 5])
def test_regimes_have_as_many_panels_as_sizes(sizes, experiment, statistics):
    small = select(experiment[RegimeHistory], timesteps=T)
    table = pd.concat([small.assign(timesteps=T * (k + 1)) for k in range(sizes)], ignore_index=True)
    figure = regimes.FIGURE.draw(experiment.replace({RegimeHistory: table}))
    assert len(panels(figure)) == sizes
    assert figure.get_figwidth() <= style.WIDTH


def test_a_size_whose_episodes_never_ended_has_an_empty_panel(experiment, statistics):
    table = experiment[RegimeHistory]
    table.loc[table["timesteps"] == T, "mean_return"] = np.nan
    small, large = panels(regimes.FIGURE.draw(experiment.replace({RegimeHistory: table})))
    assert small.get_title() == "T = 200 pairs an iteration"
    assert "best" not in labels(small)
    assert small.get_xlim() == large.get_xlim()
    assert 10 * T < large.get_xlim()[1] < 11 * T  # the range of the curves that there are
    assert "T = 200: no training has a final return" in regimes.FIGURE.caption(
        experiment.replace({RegimeHistory: table})
    )


# Gradients


@pytest.mark.parametrize(
    ("draw", "against", "extra"), [(gradient.VARIANCE.draw, "each other", 0.0), (gradient.TRUE.draw, "true", 0.1)]
)
def test_gradients_draw_every_agent_on_a_log_axis(draw, against, extra, experiment, statistics):
    figure = draw(experiment)
    first, last = panels(figure)
    assert [axes.get_title() for axes in (first, last)] == ["iteration 0", "iteration 4"]
    for axes, fall in ((first, 0.0), (last, 0.04)):
        assert axes.get_xscale() == "log"
        assert axes.get_ylim()[0] == -0.5
        assert 1 <= axes.get_ylim()[1] < 1.1
        for k in range(3):
            pairs, cosine = line(axes, f"agent={k}")
            assert pairs.tolist() == [50, T, 1000]
            np.testing.assert_allclose(cosine, pairs / 2000 + k / 10 + extra - fall)
        assert set(line(axes, "T")[0]) == {T}
        assert set(line(axes, "floor")[1]) == {0.02}
        assert set(line(axes, "zero")[1]) == {0}
    assert first.get_ylim() == last.get_ylim()
    bands = first.collections
    np.testing.assert_allclose(bands[0].get_paths()[0].get_extents().y0, 0.025 + extra - 0.05)


def test_the_corrected_cosine_is_drawn_beside_the_true_one(experiment, statistics):
    axes = panels(gradient.TRUE.draw(experiment))[0]
    corrected = [line for line in axes.get_lines() if line.get_label() == "corrected"]
    plain = line(axes, "agent=0")
    np.testing.assert_allclose(corrected[0].get_ydata(), plain[1] / 0.9)
    assert corrected[0].get_linestyle() == "--"


def test_a_true_gradient_that_is_mostly_noise_is_not_corrected_for(experiment, statistics):
    noisy = experiment[Similarity].assign(corrected_cosine=experiment[Similarity]["cosine"] / 0.6)
    axes = panels(gradient.TRUE.draw(experiment.replace({Similarity: noisy})))[0]
    corrected = [line for line in axes.get_lines() if line.get_label() == "corrected"]
    assert np.isnan(np.concatenate([line.get_ydata() for line in corrected])).all()


def test_a_caption_says_what_was_resampled(experiment, statistics):
    by_cosines = replace(experiment, statistics=statistics.model_copy(update={"resample": "cosines"}))
    each_other, true = (gradient.caption(against, by_cosines) for against in ("each other", "true"))
    assert "interval, over the 45 cosines (" in each_other
    assert "interval, over the 10 estimates (" in true


def test_trajectories_are_on_the_companion_axis(experiment, statistics):
    figure = gradient.VARIANCE.draw(experiment)
    (top,) = panels(figure)[0].child_axes
    assert top.get_xticks().tolist() == [50, T, 1000]
    assert [label.get_text() for label in top.get_xticklabels()] == ["2.5", "10", "50"]


def test_ticks_that_would_collide_are_dropped_but_never_the_first():
    assert gradient.spaced([2000, 100, 4000]) == [100, 2000]
    assert gradient.spaced([2000, 100, 1_000_000]) == [100, 2000, 1_000_000]


def test_gradients_of_many_algorithms_have_a_row_each(many, statistics):
    figure = gradient.VARIANCE.draw(many.replace({Similarity: select(many[Similarity], env="Walker2d-v4")}))
    assert [axes.get_ylabel().split("\n")[0] for axes in panels(figure)[::2]] == ["PPO", "PPO-M", "TRPO"]


def test_an_agent_that_is_missing_at_a_checkpoint_leaves_the_others(experiment, statistics):
    rows = experiment[Similarity]
    rows = rows[~((rows["agent"] == 1) & (rows["iteration"] == 4))]
    first, last = panels(gradient.VARIANCE.draw(experiment.replace({Similarity: rows})))
    assert {"agent=0", "agent=1", "agent=2"} <= set(labels(first))
    assert "agent=1" not in labels(last)
    assert {"agent=0", "agent=2"} <= set(labels(last))


# Value nets


@pytest.mark.parametrize(("draw", "scale"), [(value.HELDOUT.draw, 4), (value.TRAIN.draw, 1)])
def test_value_errors_by_two_definitions(draw, scale, experiment, statistics):
    left, middle, right = panels(draw(experiment))
    for axes, times in ((left, 1), (middle, 2), (right, 3)):
        np.testing.assert_allclose(line(axes, "mean"), [[0, 2, 4], [2 * scale * times] * 3])
        np.testing.assert_allclose(line(axes, "agent=2")[1], [3 * scale * times] * 3)
        assert axes.get_yscale() == "log"
        assert axes.yaxis.get_transform().base == 2
    for axes, times in ((left, 1), (middle, 2)):
        np.testing.assert_allclose(line(axes, "median"), [[0, 2, 4], [0.5 * scale * times] * 3])
    np.testing.assert_allclose(line(right, "own target, squared"), [[0, 2, 4], [3 * scale] * 3])
    np.testing.assert_allclose(line(right, "hindsight"), [[0, 2, 4], [0.3] * 3])


def test_what_hindsight_does_not_know_is_said(experiment, statistics):
    assert "known for 80% of the pairs" in value.HELDOUT.caption(experiment)
    rows = experiment[PredictionError].assign(hindsight_pairs=experiment[PredictionError]["release_pairs"])
    assert "known for" not in value.HELDOUT.caption(experiment.replace({PredictionError: rows}))


def test_an_error_that_is_nan_is_left_out(experiment, statistics):
    rows = experiment[PredictionError]
    missing = (rows["agent"] == 2) & (rows["iteration"] == 2)
    rows.loc[missing, "mean_relative_error"] = np.nan
    left, *_ = panels(value.TRAIN.draw(experiment.replace({PredictionError: rows})))
    np.testing.assert_allclose(line(left, "mean")[1], [2, 1.5, 2])
    assert line(left, "agent=2")[0].tolist() == [0, 4]


# Landscapes


@pytest.fixture
def regime(experiment) -> pd.DataFrame:
    """The landscapes of one regime."""
    return select(experiment[LandscapePoint], update_pairs=T)


def test_surfaces_mark_the_snapshot_and_the_full_step(regime, experiment):
    figure = landscape.SURFACES.draw(experiment.replace({LandscapePoint: regime}))
    solid = [axes for axes in panels(figure) if axes.name == "3d"]
    assert len(solid) == 4
    origin, step = (line.get_data_3d() for line in solid[1].get_lines())
    assert np.ravel(origin).tolist() == [0, 0, 50]
    assert np.ravel(step).tolist() == [1, 0, 51]  # at iteration 0 the reward is 50 + (a - 2.1 b)^3
    above = [axes for axes in panels(figure) if "full step" in labels(axes)]
    assert len(above) == 2
    for axes in above:
        assert line(axes, "snapshot").ravel().tolist() == [0, 0]
        assert line(axes, "full step").ravel().tolist() == [1, 0]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("update step, a", "random direction, b")


def test_a_full_step_between_grid_points_is_interpolated(regime, experiment):
    coarse = regime[regime["step"] != 1.0]
    solid = [
        axes
        for axes in panels(landscape.SURFACES.draw(experiment.replace({LandscapePoint: coarse})))
        if axes.name == "3d"
    ]
    _, step = (line.get_data_3d() for line in solid[0].get_lines())
    assert np.ravel(step).tolist() == [1, 0, 1]  # of 0 at a = 0 and 2 at a = 2


def test_a_full_step_beyond_the_grid_is_not_marked(regime, experiment):
    near = regime.assign(step=regime["step"] / 4)
    for axes in panels(landscape.SURFACES.draw(experiment.replace({LandscapePoint: near}))):
        assert axes.name == "3d" or "full step" not in labels(axes)
        if "step" in labels(axes):
            assert line(axes, "step")[0].tolist() == [0, 0.75]


def test_a_landscape_without_a_step_is_drawn(regime, experiment):
    """TRPO's line search found none: the surrogate is the same all along it."""
    flat = regime.assign(surrogate=0.0)
    landscape.SURFACES.draw(experiment.replace({LandscapePoint: flat}))
    landscape.CUT.draw(experiment.replace({LandscapePoint: flat}))


def test_the_cut_draws_reward_with_its_interval_and_surrogate_for_every_regime(experiment):
    figure = landscape.CUT.draw(experiment)
    rewards_axes = [axes for axes in panels(figure) if "reward" in labels(axes)]
    surrogate_axes = [axes for axes in panels(figure) if "surrogate" in labels(axes)]
    assert [axes.get_title() for axes in rewards_axes] == [
        f"iteration {i}, update from {pairs} pairs" for i in (0, 4) for pairs in ("200", "1,000")
    ]
    assert [axes.get_ylabel() for axes in rewards_axes] == ["reward units", ""] * 2
    assert [axes.get_ylabel() for axes in surrogate_axes] == ["", "surrogate objective"] * 2
    a = np.arange(4.0)
    for axes, twin, sign in zip(rewards_axes, surrogate_axes, (1, 1, -1, -1), strict=True):
        np.testing.assert_allclose(line(axes, "reward"), [a, 50 + sign * a**3])
        np.testing.assert_allclose(line(twin, "surrogate"), [a, a], atol=1e-12)
        assert set(line(axes, "full step")[0]) == {1}
        (band,) = axes.collections
        corners = band.get_paths()[0].vertices
        ends = [[min(at), max(at)] for at in (corners[corners[:, 0] == x][:, 1] for x in a)]
        expected = 50 + sign * a**3
        np.testing.assert_allclose(
            np.transpose(ends), [expected - 2.447 * (2 + a), expected + 2.447 * (2 + a)], rtol=1e-3
        )


def test_fewer_trajectories_are_drawn_on_the_scale_of_all(experiment):
    """A row a checkpoint, a column a budget; from fewer pairs every other point is 30 higher."""
    low = {"update_pairs": T}
    figure = concentration.FIGURE.draw(
        experiment.replace(
            {
                SubsampledPoint: select(experiment[SubsampledPoint], **low),
                Resolution: select(experiment[Resolution], **low),
            }
        )
    )
    few, many, *_ = solid = panels(figure)
    assert len(solid) == 4
    assert [axes.get_title().split("\n")[1] for axes in (few, many)] == [
        "resolved: 10% own noise, 20% shared",
        "resolved: 20% own noise, 40% shared",
    ]
    assert few.get_title().startswith("100 pairs, ")
    assert few.get_zlim() == many.get_zlim()
    heights = [axes.get_lines()[0].get_data_3d()[2][0] for axes in (few, many)]
    assert heights == [50, 50]  # the snapshot is an even point


def test_alignment_shows_every_algorithm_regime_and_checkpoint_with_its_interval(many, statistics):
    rows = select(many[Alignment], env="Hopper-v4")
    figure = alignment.FIGURE.draw(many.replace({Alignment: rows}))
    grid, _, gain = panels(figure)
    names = [f"{name}, {pairs}" for name in ("PPO", "PPO-M", "TRPO") for pairs in (200, 1000)]
    assert [name for name in labels(grid) if not name.startswith("_")] == names
    at, values = line(grid, "PPO, 200")
    assert values.tolist() == [1, -1]
    assert np.round(at).tolist() == [0, 1]
    bars = np.concatenate([path.vertices[:, 1] for path in gain.collections[0].get_paths()])
    np.testing.assert_allclose(bars, [100, 300, -300, -100])  # a gain of 2, then -2, give or take 1, of a reward of 1


def test_update_gains_show_both_batches_on_one_scale(many, statistics):
    """Three algorithms, two regimes, at iterations 0 and 4."""
    figure = update_gain.FIGURE.draw(many.replace({AgentsGain: select(many[AgentsGain], env="Hopper-v4")}))
    own, heldout, reward, lowering = panels(figure)
    for axes, first, last in ((own, 0.02, 0.01), (heldout, 0.015, -0.001), (reward, 20, -1), (lowering, 0.1, 0.9)):
        assert len([name for name in labels(axes) if not name.startswith("_")]) == 6
        at, values = line(axes, "TRPO, 1000")
        np.testing.assert_allclose(values, [first, last])
        assert np.round(at).tolist() == [0, 1]
        bars = np.concatenate([path.vertices[:, 1] for path in axes.collections[0].get_paths()])
        np.testing.assert_allclose(bars, [0.9 * first, 1.1 * first, last - abs(last) / 10, last + abs(last) / 10])
    assert own.get_ylim() == heldout.get_ylim()
    assert lowering.get_ylim() == (-0.04, 1.04)


def test_points_with_noise_of_their_own_have_one_share(experiment):
    low = {"update_pairs": T}
    resolution = experiment[Resolution].assign(shared_resolved_share=np.nan, shared_noise_share=np.nan)
    few, *_ = panels(
        concentration.FIGURE.draw(
            experiment.replace(
                {SubsampledPoint: select(experiment[SubsampledPoint], **low), Resolution: select(resolution, **low)}
            )
        )
    )
    assert few.get_title().split("\n")[1] == "resolved: 10%, own noise"
    text = concentration.FIGURE.caption(
        experiment.replace(
            {SubsampledPoint: select(experiment[SubsampledPoint], **low), Resolution: select(resolution, **low)}
        )
    )
    assert "hared noise" not in text


def test_landscapes_of_further_agents_have_files_of_their_own(experiment, statistics):
    both = {
        kind: pd.concat([experiment[kind], experiment[kind].assign(agent=1)], ignore_index=True)
        for kind in (LandscapePoint, SubsampledPoint, Resolution, Alignment)
    }
    names = [drawing.name for drawing in instances(experiment.replace(both))]
    for start in ("fig07_landscape_Hopper-v4_ppo", "fig07_cut_Hopper-v4_ppo", "fig06_concentration_Hopper-v4_ppo"):
        assert any(name.startswith(start) for name in names)
        assert any(name.startswith(f"{start}_agent1") for name in names)


def test_captions_state_sample_sizes(experiment, statistics):
    text = {drawing.name: drawing.caption for drawing in instances(experiment)}
    assert "PPO: 3 agents" in text["fig09_rewards"]
    assert "3 agents with and 3 without" in text["sec22_no_baseline"]
    assert "2,000 pairs per agent" in text["fig03_regimes_Hopper-v4"]
    assert (
        "A point is the mean over the iterations that end within 1,000 pairs, the largest T."
        in text["fig03_regimes_Hopper-v4"]
    )
    assert (
        "T = 200: 10 iterations, 3 agents per rate, best 1e-4 (linear scaling from the smallest T predicts 1e-4), "
        "declines 0.0 at 1e-4, -120.0 at 4e-4"
    ) in text["fig03_regimes_Hopper-v4"]
    assert "10 independent gradient estimates" in text["fig01_gradient_variance_Hopper-v4"]
    assert "one line for each of 3 agents" in text["fig02_true_gradient_Hopper-v4"]
    assert "iteration 4: 10.0" in text["fig01_gradient_variance_Hopper-v4"]  # trajectories in T pairs
    assert "thin for each of 3 agents" in text["fig04_value_error_Hopper-v4"]
    assert "4 x 3 points" in text["fig07_landscape_Hopper-v4_ppo_N200"]
    assert "update from 200 or 1,000 pairs" in text["fig07_cut_Hopper-v4_ppo"]
    assert "own / shared: iteration 0: " in text["fig06_concentration_Hopper-v4_ppo"]
    assert "45% / 25% (1,000 pairs)" in text["fig06_concentration_Hopper-v4_ppo"]
    assert "From above" not in text["fig07_cut_Hopper-v4_ppo"]
    assert "(1 trajectory per point" in text["fig07_alignment_Hopper-v4"]
    assert "over 2 whole updates from each snapshot of 3 agents" in text["fig07_update_gain_Hopper-v4"]
    assert "filled: 200 pairs; open: from 1,000" in text["fig07_update_gain_Hopper-v4"]
    assert "over 5 episodes per update" in text["fig07_update_gain_Hopper-v4"]
    assert "resample agents, then their updates" in text["fig07_update_gain_Hopper-v4"]
    alone = instances(experiment.replace({AgentsGain: experiment[AgentsGain].assign(agents=1)}))
    assert any("resample one agent's updates" in drawing.caption for drawing in alone)
    trained = experiment[RegimeHistory]
    alone = regimes.FIGURE.caption(experiment.replace({RegimeHistory: trained[trained["agent"] == 0]}))
    assert "predicts 1e-4), declines unknown; T = 1,000" in alone
    assert "over the 1 point of the grid" in text["fig07_alignment_Hopper-v4"]


def test_captions_and_intervals_follow_the_confidence(experiment):
    wide = replace(experiment, statistics=experiment.statistics.model_copy(update={"confidence": 0.5}))
    texts = {drawing.name: drawing.caption for drawing in instances(wide)}
    assert not [name for name, text in texts.items() if "95%" in text]
    resolved = "where the 50% interval of the difference excludes zero (of equal points, 50% would be)"
    assert resolved in texts["fig06_concentration_Hopper-v4_ppo"]
    rows = experiment[LandscapePoint]
    # Student's t with six degrees of freedom.
    np.testing.assert_allclose(landscape.half_width(rows, 0.5) / rows["reward_se"], 0.7176, rtol=1e-4)


def test_captions_count_what_is_drawn(experiment):
    cosines, gains = experiment[Similarity], experiment[AgentsGain]
    cosines.loc[cosines["agent"] == 0, "repeats"] = 7
    gains.loc[gains["quantity"] == "confirmed share", "agents"] = 1
    changed = experiment.replace({Similarity: cosines, AgentsGain: gains})
    texts = {drawing.name: drawing.caption for drawing in instances(changed)}
    assert "7 to 10 independent gradient estimates" in texts["fig01_gradient_variance_Hopper-v4"]
    assert "from each snapshot of 3 agents" in texts["fig07_update_gain_Hopper-v4"]  # no panel has confirmed shares
