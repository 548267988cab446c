"""Metrics that compare experiments: `reports/metrics.json`, and `reports/curves.csv` for DVC's plots."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from dpg.report import regimes, summaries
from dpg.report.aggregate import final_returns, interquartile_mean, interval_over_agents, over_agents
from dpg.report.experiment import Experiment, distinct, select
from dpg.tables.baselines import AgentsDifference, BaselineCosine
from dpg.tables.gradient import Noise, Similarity
from dpg.tables.landscape import Alignment, Resolution
from dpg.tables.training import History, RegimeHistory
from dpg.tables.true_value import FitQuality, StateErrors
from dpg.tables.update_gain import AgentsGain
from dpg.tables.update_step import UpdateAgreement
from dpg.tables.value import PredictionError

Number = float | int | None


def summarize(experiment: Experiment) -> dict[str, dict[str, dict[str, Any]]]:
    """The metrics by task and algorithm, with a task's `regimes` as a further entry; None stands for NaN."""
    summary: dict[str, dict[str, dict[str, Any]]] = {}
    for cell in experiment.cells():
        summary.setdefault(cell.key["env"], {})[cell.key["algorithm"]] = {
            **_final_return(cell),
            "gradient": _gradient(cell),
            "update_step": _updates(cell),
            "update_gain": _update_gains(cell),
            "value": _value(cell),
            "true_value": _true_value(cell),
            "baselines": _baselines(cell),
            "landscape": _landscape(cell),
            "ablation": _ablation(cell),
        }
    for env in distinct(experiment[RegimeHistory], "env"):
        summary.setdefault(env, {})["regimes"] = _regimes(experiment.where(env=env))
    return summary


def _final_return(cell: Experiment) -> dict[str, Number]:
    """Mean over the last five iterations, per agent; mean and interquartile mean over agents, with their intervals."""
    per_agent = final_returns(cell[History])
    return {
        **_with_ends("final_return", *interval_over_agents(per_agent, cell.statistics)),
        **_with_ends("final_return_interquartile", *interquartile_mean(per_agent, cell.statistics)),
        "agents": len(per_agent),
    }


def _ablation(cell: Experiment) -> dict[str, Number]:
    """The final return without a baseline, and its ratio to the one with the value net."""
    comparison = summaries.without_baseline(cell)
    return {"final_return": _number(comparison.without.mean), **_with_ends("ratio", *comparison.ratio)}


def _regimes(task: Experiment) -> dict[str, dict[str, Number]]:
    """By sample size: the best rate tried, its final return and decline, and the rate that linear scaling predicts."""
    best = regimes.best_rates(regimes.summarize(task[RegimeHistory], task.statistics))
    return {
        f"T{row['timesteps']:.0f}": {
            "best_lr": _number(row["lr"]),
            "linear_scaling_lr": _number(row["linear_scaling_lr"]),
            "final_return_at_best": _number(row["final_return"]),
            **_with_ends("decline_at_best", row["decline"], row["decline_low"], row["decline_high"]),
        }
        for row in best.to_dict("records")
    }


def _gradient(cell: Experiment) -> dict[str, Number]:
    """At the first and the last studied snapshot: mean cosines of estimates from T pairs, and median noise scale.

    The median over agents, since the scale of a gradient that cannot be told from zero is unbounded.
    """
    at_t = select(cell[Similarity], pairs=cell.timesteps)
    pairwise, true = (_ends(select(at_t, against=against), "cosine") for against in ("each other", "true"))
    scales = cell[Noise].fillna({"noise_scale_pairs": math.inf}).groupby("iteration")["noise_scale_pairs"].median()
    return {
        "pairwise_cosine_at_T_first": pairwise[0],
        "pairwise_cosine_at_T_last": pairwise[1],
        "true_cosine_at_T_last": true[1],
        "noise_scale_pairs_first": _number(scales.iloc[0]) if len(scales) else None,
        "noise_scale_pairs_last": _number(scales.iloc[-1]) if len(scales) else None,
    }


def _updates(cell: Experiment) -> dict[str, Number]:
    """Mean pairwise cosine of whole updates over agents, at the first and the last snapshot of the curve."""
    return _both("cosine", cell[UpdateAgreement], "cosine")


def _update_gains(cell: Experiment) -> dict[str, dict[str, Number]]:
    """By the pairs of an update: its gains at the first and the last studied snapshot."""
    return {
        f"N{pairs}": _merged(
            _both(str(quantity).replace(" ", "_").replace("-", ""), some, "mean")
            for quantity, some in rows.groupby("quantity")
        )
        for pairs, rows in cell[AgentsGain].groupby("update_pairs")
    }


def _value(cell: Experiment) -> dict[str, Number]:
    """Mean errors on held-out pairs over agents, at the last snapshot of the curve.

    Relative errors, errors by the release's formulas, and the error of hindsight by its formula for returns.
    """
    gae, returns = (select(cell[PredictionError], split="heldout", target=target) for target in ("gae", "returns"))
    return {
        "heldout_gae_error_last": _ends(gae, "mean_relative_error")[1],
        "heldout_returns_error_last": _ends(returns, "mean_relative_error")[1],
        "heldout_release_gae_error_last": _ends(gae, "release_error")[1],
        "heldout_release_returns_error_last": _ends(returns, "release_error")[1],
        "heldout_hindsight_error_last": _ends(returns, "hindsight_error")[1],
    }


def _true_value(cell: Experiment) -> dict[str, Number]:
    """Explained variance and error of V* and of the value net, means over agents at the last studied snapshot."""
    at_states = summaries.state_errors(cell[StateErrors], ["net", "iteration"], cell.statistics)
    errors = {net: _ends(select(at_states, net=net), "mean")[1] for net in ("true value", "value net")}
    fits = cell[FitQuality]
    return {
        "explained_variance_last": _ends(fits, "explained_variance")[1],
        "value_net_explained_variance_last": _ends(fits, "value_net_explained_variance")[1],
        "states_error_last": errors["true value"],
        "value_net_states_error_last": errors["value net"],
    }


def _baselines(cell: Experiment) -> dict[str, Number]:
    """At T pairs and the last studied snapshot: cosines, and the gains of V* and of the value net inside GAE."""
    numbers: dict[str, Number] = {}
    for kind in ("gae", "returns"):
        for name in ("true value", "value net", "zero"):
            rows = select(cell[BaselineCosine], baseline=name, advantage=kind, pairs=cell.timesteps)
            numbers[f"{kind}_{name}_cosine_at_T_last".replace(" ", "_")] = _ends(rows, "cosine")[1]
    for one, other in (("true value", "value net"), ("value net", "zero")):
        rows = select(cell[AgentsDifference], baseline=one, other=other, advantage="gae", pairs=cell.timesteps)
        for suffix, column in (("", "difference"), ("_low", "low"), ("_high", "high")):
            numbers[f"{one}_over_{other}_at_T_last{suffix}".replace(" ", "_")] = _ends(rows, column)[1]
    return numbers


def _landscape(cell: Experiment) -> dict[str, dict[str, Number]]:
    """By the pairs of an update: means over agents at the first and the last studied snapshot.

    Rank correlations of surrogate and reward, over the grid and along the step; the gain in reward of a full step; and
    the share of pairs of points that all trajectories, or those of fewer pairs, resolve if points do not share their
    noise.
    """
    columns = {"rank_correlation": "grid_correlation", "step_rank_correlation": "step_correlation", "step_gain": "gain"}
    found: dict[str, dict[str, Number]] = {}
    resolution = cell[Resolution]
    for pairs, rows in cell[Alignment].groupby("update_pairs"):
        numbers = _merged(_both(name, rows, column) for name, column in columns.items())
        for budget, points in select(resolution, update_pairs=pairs).groupby("budget_pairs"):
            few = f"_from_{budget}" if budget < resolution["budget_pairs"].max() else ""
            numbers |= _both(f"resolved_share{few}", points, "own_resolved_share")
        found[f"N{pairs}"] = numbers
    return found


def _ends(rows: pd.DataFrame, column: str) -> tuple[Number, Number]:
    """The mean over agents at the first and at the last iteration."""
    if rows.empty:
        return None, None
    means = rows.groupby("iteration")[column].mean()
    return _number(means.iloc[0]), _number(means.iloc[-1])


def _both(name: str, rows: pd.DataFrame, column: str) -> dict[str, Number]:
    """These two means, by a name with `first` and `last`."""
    return {f"{name}_{end}": mean for end, mean in zip(("first", "last"), _ends(rows, column), strict=True)}


def _merged(parts: Iterable[dict[str, Number]]) -> dict[str, Number]:
    return {name: number for part in parts for name, number in part.items()}


def _with_ends(name: str, mean: float, low: float, high: float) -> dict[str, Number]:
    """A mean and the ends of its interval."""
    return {name: _number(mean), f"{name}_low": _number(low), f"{name}_high": _number(high)}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def to_json(summary: Mapping[str, Any]) -> str:
    """JSON with sorted keys: the same bytes for the same numbers."""
    return json.dumps(summary, indent=2, sort_keys=True, allow_nan=False) + "\n"


def curves(experiment: Experiment) -> pd.DataFrame:
    """Figure 9's curves as a table: `env`, `algorithm`, `pairs`, `mean_return`, `low`, `high`, `agents`."""
    table = over_agents(experiment[History], ["env", "algorithm", "pairs"], "mean_return", experiment.statistics)
    return table.rename(columns={"mean": "mean_return"})


def flat(summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers under dotted names, without None."""
    numbers = pd.json_normalize(dict(summary)).iloc[0].dropna()
    return {str(name): float(number) for name, number in numbers.items()}
