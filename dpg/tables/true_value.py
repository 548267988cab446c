"""Tables of `true_value`."""

from typing import Annotated

from dpg.tables.table import AgentSnapshot, Section, table

_RelativeError = Annotated[
    float,
    "-",
    "root mean square of V - v over that of v, the true value, and its interval; a mean square below zero counts as "
    "zero",
]
_Squares = Annotated[
    float,
    "scaled reward²",
    "unbiased mean squares of V - v, which may be negative, and of v: average these over agents, then take the root",
]
_ExplainedVariance = Annotated[float, "-", "1 - var(v - V) / var(v) over states, and its interval"]


@table("true_value/fit.csv", Section.VALUES, per="studied snapshot")
class FitQuality(AgentSnapshot):
    """How well the true value function V* predicts held-out returns, and the snapshot's own value net with it.

    V* is a net of the value net's architecture, fitted to known returns of many fresh pairs. A tenth of the streams is
    held out for the scores; another tenth, the stopping streams, chooses the epoch.
    """

    pairs: Annotated[int, "pairs", "that V* is fitted to: those whose return is known"]
    trajectories: Annotated[int, "episodes", "complete episodes among all of the streams that are fitted"]
    stopping_pairs: Annotated[int, "pairs", "of the stopping streams, likewise"]
    heldout_pairs: Annotated[int, "pairs", "of the held-out streams, likewise"]
    heldout_trajectories: Annotated[int, "episodes", "complete episodes among the held-out streams"]
    epochs: Annotated[int, "epochs", "that the fit took"]
    best_epoch: Annotated[int, "-", "the epoch that was kept: the best on the stopping streams"]
    explained_variance: Annotated[
        float,
        "-",
        "1 - var(R - V*) / var(R), with R the held-out returns; what chance adds to the return after a state no "
        "function of the state explains",
    ]
    value_net_explained_variance: Annotated[float, "-", "the same for the snapshot's own value net"]
    median_relative_error: Annotated[float, "-", "median |V* - R| / |R| on the same pairs"]
    value_net_median_relative_error: Annotated[float, "-", "the same for the snapshot's own value net"]


@table("true_value/loss.csv", Section.VALUES, per="studied snapshot and epoch of its fit")
class FitEpoch(AgentSnapshot):
    """Losses of the fit of V*."""

    epoch: Annotated[int, "-", "from 1"]
    train_loss: Annotated[
        float, "-", "mean squared error after the epoch on the fitted pairs, in variances of their returns"
    ]
    stopping_loss: Annotated[float, "-", "the same on the stopping streams"]


@table("true_value/states.csv", Section.VALUES, per="state of a studied snapshot")
class StateValue(AgentSnapshot):
    """Monte Carlo check of value nets at single states.

    States are drawn from streams, one from each, and set in the simulator; from each, fresh rollouts go on to their
    end, or for H further pairs. Values are in the reward units that the nets are trained in. Where a task cannot be put
    into a state, `rollouts` is 0 and the means are blank.
    """

    state: Annotated[int, "-", "its number, from 0"]
    elapsed: Annotated[int, "pairs", "of its episode, before it"]
    rollouts: Annotated[int, "rollouts", "from the state"]
    pairs: Annotated[int, "pairs", "of all these rollouts"]
    cut: Annotated[int, "rollouts", "that reached the horizon H"]
    rollout_mean: Annotated[float, "scaled reward", "mean discounted return of the rollouts"]
    rollout_se: Annotated[float, "scaled reward", "its standard error"]
    value_net: Annotated[float, "scaled reward", "value of the state by the snapshot's value net"]
    true_value: Annotated[float, "scaled reward", "value of the state by V*"]


@table("true_value/state_errors.csv", Section.VALUES, per="studied snapshot and net")
class StateErrors(AgentSnapshot):
    """Errors of a net V against the rollouts of `true_value/states.csv`, whose mean estimates the true value v.

    The rollouts' own noise is subtracted: a net that is right has an error of 0 and explains all, up to chance.
    Intervals resample the states. Blank where the noise hides the values, or a task cannot be put into a state.
    """

    net: Annotated[str, "-", "`value net` or `true value`"]
    states: Annotated[int, "states", "behind the errors"]
    rollouts: Annotated[int, "rollouts", "from each state"]
    relative_error: _RelativeError
    relative_error_low: _RelativeError
    relative_error_high: _RelativeError
    squared_error: _Squares
    squared_value: _Squares
    explained_variance: _ExplainedVariance
    explained_variance_low: _ExplainedVariance
    explained_variance_high: _ExplainedVariance
