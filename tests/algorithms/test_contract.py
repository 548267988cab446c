"""What an algorithm's functions return is checked where they are called: a mistake is one line that names the part."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dpg.algorithms import trpo
from dpg.learning import contract
from dpg.learning.algorithm import ascent
from dpg.learning.batch import prepare
from dpg.learning.update import objective, update_policy
from dpg.runtime.registry import AlgorithmError
from dpg.runtime.seeding import Seed

SEEDS = [Seed(0), Seed(1)]


@pytest.fixture
def recipe(make_recipe):
    return make_recipe("trpo")


@pytest.fixture
def population(make_population):
    return make_population(2)


@pytest.fixture
def batch(recipe, population, make_streams):
    return prepare(population, make_streams(2, 24), recipe.common, recipe.config)


@pytest.fixture
def use(monkeypatch):
    """Make every recipe's algorithm TRPO with some parts replaced."""

    def chosen(**parts):
        monkeypatch.setattr("dpg.learning.algorithm.of", lambda _: replace(trpo.ALGORITHM, **parts))

    return chosen


def returning(result):
    return lambda population, *_: result(population)


def moments(population, change):
    return replace(population, policy_adam=replace(population.policy_adam, first=change(population.policy_adam.first)))


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (lambda _: None, "must return the population of the same networks, not None"),
        (lambda p: p.policy, "must return the population of the same networks, not array"),
        (lambda p: p.member(0), r"must return policy as float32 of shape \(2, \d+\), not float32 of shape \(1, \d+\)"),
        (
            lambda p: replace(p, policy=p.policy[:, :3]),
            r"raised ValueError: policy and value .* \(test_contract.py, line",
        ),
        (lambda p: replace(p, policy=p.policy * np.float64(1)), "must return policy as float32 .*, not float64"),
        (lambda p: moments(p, lambda m: m.astype(np.float64)), "must return policy_adam.first as float32"),
        (lambda p: replace(p, value=p.value + 1), "may change policy, .*, and it has changed value$"),
        (lambda p: replace(p, iteration=7), "may change policy, .*, and it has changed iteration$"),
        (
            lambda p: replace(p, algorithm_state={"b": np.ones(2)}),
            r"must return the state .*\(none\), not 'b': float64 of shape",
        ),
        (lambda _: 1 / 0, r"raised ZeroDivisionError: division by zero \(test_contract.py, line \d+\)$"),
    ],
)
def test_an_update_that_is_no_update_is_refused(use, recipe, population, batch, result, said):
    use(update_policy=returning(result))
    with pytest.raises(AlgorithmError, match=f"^trpo: update_policy {said}"):
        update_policy(population, batch, recipe, SEEDS)


def test_an_update_that_writes_into_its_argument_changes_no_other_population(use, recipe, population, batch):
    """Probes compare the agents before and after: they would find that nothing had moved."""

    def in_place(population, *_):
        population.policy[:] += 1
        return population

    use(update_policy=in_place)
    before = population.policy.copy()
    updated = update_policy(population, batch, recipe, SEEDS)
    np.testing.assert_array_equal(population.policy, before)
    np.testing.assert_array_equal(updated.policy, before + 1)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (None, "arrays by name, not None"),
        ({1: np.ones(2)}, "arrays by name, not {1: "),
        ({"b": 1.0}, "'b' as a NumPy array with a row for each of 2 agents, not 1.0"),
        ({"b": np.ones(3)}, r"'b' as a NumPy array with a row for each of 2 agents, not float64 of shape \(3,\)"),
        ({"b": np.ones(())}, r"'b' as a NumPy array with a row for .* shape \(\)"),
        ({"b": torch.ones(2)}, "'b' as a NumPy array with a row for each of 2 agents, not a tensor"),
        ({"b": np.array([None, None])}, "'b' as booleans, integers or floats, not object"),
        ({"b": np.ones(2, complex)}, "'b' as booleans, integers or floats, not complex128"),
    ],
)
def test_state_that_no_snapshot_could_carry_is_refused(recipe, population, state, said):
    chosen = replace(trpo.ALGORITHM, initial_state=lambda *_: state)
    with pytest.raises(AlgorithmError, match=f"^trpo: initial_state must return {said}"):
        contract.initial_state(chosen, population, recipe.config)


def test_state_with_nan_is_refused(use, recipe, population, batch):
    start = {"b": np.ones(2)}
    use(
        initial_state=lambda *_: start,
        update_policy=lambda population, *_: replace(population, algorithm_state={"b": np.array([0, np.nan])}),
    )
    with pytest.raises(AlgorithmError, match=r"^trpo: update_policy must return state without NaN, and 'b' has some$"):
        update_policy(replace(population, algorithm_state=start), batch, recipe, SEEDS)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (lambda value: value.sum(), r"float32 of shape \(\)"),
        (lambda value: value[:, None], r"float32 of shape \(2, 1\)"),
        (lambda value: value.long(), r"int64 of shape \(2,\)"),
        (lambda _: None, "None"),
    ],
)
def test_a_surrogate_that_is_not_a_number_for_each_policy_is_refused(use, recipe, population, batch, value, found):
    def wrong(*arguments):
        return value(trpo.surrogate(*arguments))

    use(surrogate=wrong)
    theta = torch.from_numpy(population.policy)
    said = rf"surrogate must return a tensor of floats of shape \(2,\), one a policy, not (torch\.)?{found}$"
    with pytest.raises(AlgorithmError, match=f"^trpo: {said}"):
        objective(population, theta, batch, recipe)
    with pytest.raises(AlgorithmError, match=f"^{said}"):
        ascent(wrong, population, theta, batch, recipe.config)


def test_a_surrogate_without_a_gradient_is_refused(recipe, population, batch):
    theta = torch.from_numpy(population.policy)
    with pytest.raises(AlgorithmError, match="must be differentiable in the policy vectors"):
        ascent(lambda *arguments: trpo.surrogate(*arguments).detach(), population, theta, batch, recipe.config)
