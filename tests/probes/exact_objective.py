"""The discounted objective of the linear-quadratic task and its gradient, in closed form.

The probes estimate another quantity, an average over a stream's pairs; the policy gradient theorem checks their parts.
"""

import numpy as np

from dpg.probes.known_answers import forms
from dpg.probes.known_answers.closed_forms import ClosedLoop, score_expectation, temporal_difference, value_function


def objective(loop: ClosedLoop, gamma: float) -> float:
    """J = E V(s_0), the expected discounted return."""
    return forms.expectation(value_function(loop, gamma), loop.initial)


def objective_gradient(loop: ClosedLoop, gamma: float) -> np.ndarray:
    """grad J = sum_t gamma^t E[grad log pi(a_t|s_t) A(s_t, a_t)]: pairs weighted by gamma^t, which no stream does."""
    advantage = temporal_difference(loop, value_function(loop, gamma), gamma)
    steps = int(np.ceil(np.log(1e-16) / np.log(gamma)))
    terms = [gamma**t * score_expectation(loop, advantage, state) for t, state in enumerate(loop.marginals(steps))]
    return np.sum(terms, axis=0)
