"""The few numbers that tell two experiments apart: `reports/metrics.json`, and `reports/curves.csv` for DVC's plots."""

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from dpg.report import ablation, regimes
from dpg.report.states import errors_over_agents
from dpg.report.tables import Tables, final_returns, interval_over_agents, over_agents, select
from dpg.runtime.schema import Statistics

Number = float | int | None


def summarize(tables: Tables, timesteps: int, statistics: Statistics) -> dict[str, dict[str, dict[str, Any]]]:
    """Numbers by task and algorithm, a task's `regimes` beside its algorithms; None where there is no number."""
    summary: dict[str, dict[str, dict[str, Any]]] = {}
    for (env, algorithm), history in tables.history.groupby(["env", "algorithm"], sort=False):
        cell = {"env": env, "algorithm": algorithm}
        summary.setdefault(str(env), {})[str(algorithm)] = {
            **_final_return(history, statistics),
            "gradient": _gradient(select(tables.similarity, **cell), timesteps),
            "update_step": _updates(select(tables.updates, **cell)),
            "update_gain": _update_gains(select(tables.agent_gains, **cell)),
            "value": _value(select(tables.value, **cell)),
            "true_value": _true_value(select(tables.fits, **cell), select(tables.opinions, **cell), statistics),
            "baselines": _baselines(select(tables.baselines, **cell), select(tables.gains, **cell), timesteps),
            "landscape": _landscape(select(tables.alignment, **cell), select(tables.resolution, **cell)),
            "ablation": _ablation(history, select(tables.ablation, **cell), statistics),
        }
    for env, task in tables.regimes.groupby("env", sort=False):
        summary.setdefault(str(env), {})["regimes"] = _regimes(task, statistics)
    return summary


def _final_return(history: pd.DataFrame, statistics: Statistics) -> dict[str, Number]:
    """Mean over the last five iterations, per agent; their mean over agents and its interval."""
    per_agent = final_returns(history)
    interval = interval_over_agents(per_agent, statistics)
    return {
        "final_return": _number(interval.mean),
        "final_return_low": _number(interval.low),
        "final_return_high": _number(interval.high),
        "agents": len(per_agent),
    }


def _ablation(history: pd.DataFrame, without: pd.DataFrame, statistics: Statistics) -> dict[str, Number]:
    """Final return without a baseline, and its ratio to that with the value net."""
    comparison = ablation.compare(history, without, statistics)
    return {
        "final_return": _number(comparison.without.mean),
        "ratio": _number(comparison.ratio.mean),
        "ratio_low": _number(comparison.ratio.low),
        "ratio_high": _number(comparison.ratio.high),
    }


def _regimes(task: pd.DataFrame, statistics: Statistics) -> dict[str, dict[str, Number]]:
    """By sample size: the best of the rates tried, what it reaches, and what linear scaling would have predicted."""
    best = regimes.best_rates(regimes.summarize(task, statistics))
    return {
        f"T{row['timesteps']:.0f}": {
            "best_lr": _number(row["lr"]),
            "linear_scaling_lr": _number(row["linear_scaling_lr"]),
            "final_return_at_best": _number(row["final_return"]),
            "decline_at_best": _number(row["decline"]),
            "decline_at_best_low": _number(row["decline_low"]),
            "decline_at_best_high": _number(row["decline_high"]),
        }
        for row in best.to_dict("records")
    }


def _gradient(similarity: pd.DataFrame, timesteps: int) -> dict[str, Number]:
    """Mean over agents of the cosines of estimates of T pairs, at the first and the last studied snapshot."""
    at_t = select(similarity, pairs=timesteps)
    pairwise, true = (_ends(select(at_t, against=against), "cosine") for against in ("each other", "true"))
    return {
        "pairwise_cosine_at_T_first": pairwise[0],
        "pairwise_cosine_at_T_last": pairwise[1],
        "true_cosine_at_T_last": true[1],
    }


def _updates(updates: pd.DataFrame) -> dict[str, Number]:
    """Mean over agents of the pairwise cosine of whole updates, at the first and the last snapshot of the curve."""
    first, last = _ends(updates, "cosine")
    return {"cosine_first": first, "cosine_last": last}


def _update_gains(gains: pd.DataFrame) -> dict[str, dict[str, Number]]:
    """By the pairs that updates are made from, what they gain at the first and the last studied snapshot."""
    return {
        f"N{pairs}": {
            f"{quantity}_{end}".replace(" ", "_").replace("-", ""): value
            for quantity, some in rows.groupby("quantity")
            for end, value in zip(("first", "last"), _ends(some, "mean"), strict=True)
        }
        for pairs, rows in gains.groupby("update_pairs")
    }


def _value(value: pd.DataFrame) -> dict[str, Number]:
    """Mean over agents of the errors on held-out pairs, at the last snapshot of the curve.

    Mean relative errors, the errors by the release's formulas, and what that for returns gives with hindsight.
    """
    gae, returns = (select(value, split="heldout", target=target) for target in ("gae", "returns"))
    return {
        "heldout_gae_error_last": _ends(gae, "mean_relative_error")[1],
        "heldout_returns_error_last": _ends(returns, "mean_relative_error")[1],
        "heldout_release_gae_error_last": _ends(gae, "release_error")[1],
        "heldout_release_returns_error_last": _ends(returns, "release_error")[1],
        "heldout_hindsight_error_last": _ends(returns, "hindsight_error")[1],
    }


def _true_value(fits: pd.DataFrame, opinions: pd.DataFrame, statistics: Statistics) -> dict[str, Number]:
    """Mean over agents of how well V* and the value net predict, at the last studied snapshot."""
    at_states = errors_over_agents(opinions, ["net", "iteration"], statistics)
    errors = {net: _ends(select(at_states, net=net), "mean")[1] for net in ("true value", "value net")}
    return {
        "explained_variance_last": _ends(fits, "explained_variance")[1],
        "value_net_explained_variance_last": _ends(fits, "value_net_explained_variance")[1],
        "states_error_last": errors["true value"],
        "value_net_states_error_last": errors["value net"],
    }


def _baselines(baselines: pd.DataFrame, gains: pd.DataFrame, timesteps: int) -> dict[str, Number]:
    """At T pairs and the last studied snapshot: cosines, and what V* and the value net gain inside GAE."""
    numbers: dict[str, Number] = {}
    for way in ("gae", "returns"):
        for name in ("true value", "value net", "zero"):
            rows = select(baselines, baseline=name, advantage=way, pairs=timesteps)
            numbers[f"{way}_{name}_cosine_at_T_last".replace(" ", "_")] = _ends(rows, "cosine")[1]
    for one, other in (("true value", "value net"), ("value net", "zero")):
        rows = select(gains, baseline=one, other=other, advantage="gae", pairs=timesteps)
        for suffix, column in (("", "difference"), ("_low", "low"), ("_high", "high")):
            numbers[f"{one}_over_{other}_at_T_last{suffix}".replace(" ", "_")] = _ends(rows, column)[1]
    return numbers


def _landscape(alignment: pd.DataFrame, resolution: pd.DataFrame) -> dict[str, dict[str, Number]]:
    """By the pairs that updates are made from, means over agents at the first and the last studied snapshot.

    Rank correlations of surrogate and reward, over the grid and along the step; what one full step adds to the reward;
    and the share of pairs of points whose order all trajectories together resolve, were each point's noise its own.
    """
    columns = {
        "rank_correlation": "grid_correlation",
        "step_rank_correlation": "step_correlation",
        "step_gain": "gain",
    }
    found: dict[str, dict[str, Number]] = {}
    for pairs, rows in alignment.groupby("update_pairs"):
        numbers = {name: _ends(rows, column) for name, column in columns.items()}
        told = select(resolution, update_pairs=pairs, budget_pairs=resolution["budget_pairs"].max())
        numbers["resolved_share"] = _ends(told, "own_resolved_share")
        found[f"N{pairs}"] = {
            f"{name}_{end}": value
            for name, ends in numbers.items()
            for end, value in zip(("first", "last"), ends, strict=True)
        }
    return found


def _ends(rows: pd.DataFrame, column: str) -> tuple[Number, Number]:
    """The mean over agents at the first and at the last iteration."""
    if rows.empty:
        return None, None
    means = rows.groupby("iteration")[column].mean()
    return _number(means.iloc[0]), _number(means.iloc[-1])


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def to_json(summary: Mapping[str, Any]) -> str:
    """The same bytes for the same numbers: sorted keys, NaN as null."""
    return json.dumps(summary, indent=2, sort_keys=True, allow_nan=False) + "\n"


def curves(history: pd.DataFrame, statistics: Statistics) -> pd.DataFrame:
    """Figure 9's curves as a table: `env`, `algorithm`, `pairs`, `mean_return`, `low`, `high`, `agents`."""
    table = over_agents(history, ["env", "algorithm", "pairs"], "mean_return", statistics)
    return table.rename(columns={"mean": "mean_return"})


def flat(summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that there are, under dotted names."""
    table: dict[str, float] = {}
    for name, value in summary.items():
        if isinstance(value, Mapping):
            table |= {f"{name}.{inner}": number for inner, number in flat(value).items()}
        elif value is not None:
            table[name] = float(value)
    return table
