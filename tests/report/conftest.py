"""Small tables in the real schema, with numbers that a reader can compute."""

from dataclasses import asdict, fields
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dpg.report.experiment import Experiment, styles_of
from dpg.runtime.schema import Statistics
from dpg.tables.baselines import AgentsDifference, BaselineCosine, BaselineDifference
from dpg.tables.checkpoint import Evaluation
from dpg.tables.gradient import Noise, Similarity
from dpg.tables.landscape import Alignment, LandscapePoint, Resolution, SubsampledPoint
from dpg.tables.store import Folder, Tables
from dpg.tables.table import TableScope, table_of
from dpg.tables.training import AblationHistory, History, IterationRecord, RegimeHistory
from dpg.tables.true_value import FitEpoch, FitQuality, StateErrors, StateValue
from dpg.tables.update_gain import AgentsGain, SnapshotGain, UpdateGain
from dpg.tables.update_step import UpdateAgreement
from dpg.tables.value import PredictionError

STATISTICS = Statistics(confidence=0.95, resample="estimates", resamples=200)
T = 200
ENV = "Hopper-v4"
AGENTS = 3
ITERATIONS = (0, 4)
SIZES = (50, T, 1000)
RATES = (1e-4, 4e-4)
TOTAL_PAIRS = 2000
REGIMES = (T, 5 * T)  # pairs behind an update
BUDGETS = (100, 1000)  # pairs behind the reward of a point
TRAJECTORIES = 7  # behind the reward of a point of the landscape: Student's t has six degrees of freedom, 2.447


def row(kind, **values):
    """A row of `kind`, every field that is not named being one."""
    blank = {int: 1, float: 1.0, str: "", bool: True}
    defaults = {field.name: blank[field.type.__origin__] for field in fields(kind)}
    return asdict(kind(**(defaults | values)))


def history(env: str, algorithm: str) -> pd.DataFrame:
    """Agent k at iteration i: a mean return of 10 i + k."""
    return pd.DataFrame(
        [
            {"env": env, "algorithm": algorithm}
            | row(IterationRecord, agent=k, iteration=i, pairs=(i + 1) * T, mean_return=10.0 * i + k)
            for k in range(AGENTS)
            for i in range(8)
        ]
    )


def evaluation(cell: dict) -> pd.DataFrame:
    """Agent k at iteration i: a sampled return of 100 i + 3 k, and a deterministic one that no figure shows."""
    returns = {"sampled": 0.0, "deterministic": 1e6}
    return pd.DataFrame(
        [
            row(Evaluation, **cell, agent=k, iteration=i, actions=actions, mean_return=100.0 * i + 3 * k + extra)
            for k in range(AGENTS)
            for i in ITERATIONS
            for actions, extra in returns.items()
        ]
    )


def similarity(cell: dict) -> pd.DataFrame:
    """Agent k: a cosine of pairs / 2000 + k / 10, a tenth more with the true gradient, and ends 0.05 away."""
    rows = []
    for k in range(AGENTS):
        for i in ITERATIONS:
            for against, extra in (("each other", 0.0), ("true", 0.1)):
                for pairs in SIZES:
                    cosine = pairs / 2000 + k / 10 + extra - i / 100
                    numbers = {"cosine": cosine, "low": cosine - 0.05, "high": cosine + 0.05, "random_floor": 0.02}
                    numbers["corrected_cosine"] = cosine / 0.9 if against == "true" else np.nan
                    where = {"agent": k, "iteration": i, "against": against, "pairs": pairs, "repeats": 10}
                    rows.append(row(Similarity, **cell, **where, **numbers, trajectories=pairs / 20))
    return pd.DataFrame(rows)


def updates(cell: dict) -> pd.DataFrame:
    """Agent k at iteration i: a cosine of 0.6 - i / 10 - k / 10, and a KL of 0.01 (1 + k)."""
    return pd.DataFrame(
        [
            row(
                UpdateAgreement,
                **cell,
                agent=k,
                iteration=i,
                cosine=0.6 - i / 10 - k / 10,
                kl=0.01 * (1 + k),
                unmoved=0,
            )
            for k in range(AGENTS)
            for i in (0, 2, 4)
        ]
    )


def update_gains(cell: dict) -> pd.DataFrame:
    """Two updates of five episodes from every snapshot and regime, all alike."""
    return pd.DataFrame(
        [
            row(UpdateGain, **cell, agent=k, iteration=i, update_pairs=pairs, update=update, episodes=5)
            for k in range(AGENTS)
            for i in ITERATIONS
            for pairs in REGIMES
            for update in range(2)
        ]
    )


# At iteration 0 and at iteration 4. The last two are shares.
GAINED = {
    "reward": (2.0, -2.0),
    "relative reward": (20.0, -1.0),
    "own surrogate": (0.02, 0.01),
    "held-out surrogate": (0.015, -0.001),
    "confirmed share": (0.75, -0.1),
    "lowering share": (0.1, 0.9),
}


def mean_gains(kind, cell: dict, agents: range) -> pd.DataFrame:
    """What `GAINED` says, give or take a tenth; of agent k, k hundredths of it more."""
    rows = []
    for k in agents:
        own = {"agent": k, "unmoved": 0} if kind is SnapshotGain else {"agents": AGENTS}
        for at, i in enumerate(ITERATIONS):
            for pairs in REGIMES:
                for quantity, means in GAINED.items():
                    mean, width = means[at] * (1 + k / 100), abs(means[at]) / 10
                    where = {"iteration": i, "update_pairs": pairs, "quantity": quantity, "updates": 2, "episodes": 5}
                    rows.append(row(kind, **cell, **own, **where, mean=mean, low=mean - width, high=mean + width))
    return pd.DataFrame(rows)


def value(cell: dict) -> pd.DataFrame:
    """Agent k: errors of 1 + k, doubled for returns, quadrupled for held-out pairs; the median is a quarter.

    By the release's formulas they are half as much again; hindsight is off by 0.2 + k / 10, on 80 of 100 pairs.
    """
    rows = []
    for k in range(AGENTS):
        for i in (0, 2, 4):
            for split, first in (("train", 1.0), ("heldout", 4.0)):
                for target, second in (("gae", 1.0), ("returns", 2.0)):
                    error = (1 + k) * first * second
                    where = {"agent": k, "iteration": i, "split": split, "target": target}
                    numbers = {"mean_relative_error": error, "median_relative_error": error / 4}
                    numbers |= {"release_error": 1.5 * error, "release_pairs": 100}
                    if target == "returns":
                        known = {"release_error_known": error, "hindsight_error": 0.2 + k / 10, "hindsight_pairs": 80}
                    else:
                        known = {"release_error_known": np.nan, "hindsight_error": np.nan, "hindsight_pairs": 0}
                    numbers |= known
                    rows.append(row(PredictionError, **cell, **where, **numbers))
    return pd.DataFrame(rows)


def fits(cell: dict) -> pd.DataFrame:
    """Agent k: V* explains 0.9 - k / 10 of the held-out returns, its value net half of that."""
    return pd.DataFrame(
        [
            row(
                FitQuality,
                **cell,
                agent=k,
                iteration=i,
                pairs=1600,
                stopping_pairs=200,
                heldout_pairs=200,
                best_epoch=2,
                epochs=3,
                explained_variance=0.9 - k / 10,
                value_net_explained_variance=0.45 - k / 20,
            )
            for k in range(AGENTS)
            for i in ITERATIONS
        ]
    )


def losses(cell: dict) -> pd.DataFrame:
    """Agent k: 1 / epoch on the pairs that are fitted, and 0.1 (1 + k) more on those that stop the fit."""
    return pd.DataFrame(
        [
            row(
                FitEpoch,
                **cell,
                agent=k,
                iteration=i,
                epoch=epoch,
                train_loss=1 / epoch,
                stopping_loss=1 / epoch + 0.1 * (1 + k),
            )
            for k in range(AGENTS)
            for i in ITERATIONS
            for epoch in (1, 2, 3)
        ]
    )


def visited(cell: dict) -> pd.DataFrame:
    """State s: a mean return of 10 + s from its rollouts; the value net says half, V* half a unit more."""
    return pd.DataFrame(
        [
            row(
                StateValue,
                **cell,
                agent=k,
                iteration=i,
                state=s,
                rollouts=8,
                rollout_mean=10.0 + s,
                rollout_se=0.25,
                value_net=(10.0 + s) / 2,
                true_value=10.5 + s,
            )
            for k in range(AGENTS)
            for i in ITERATIONS
            for s in range(4)
        ]
    )


def opinions(cell: dict) -> pd.DataFrame:
    """Agent k: v^2 of 100 and (V - v)^2 of 25 (k + 1) for the value net, of a hundredth of that for V*."""
    return pd.DataFrame(
        [
            row(
                StateErrors,
                **cell,
                agent=k,
                iteration=i,
                net=net,
                states=4,
                squared_error=share * 25 * (k + 1),
                squared_value=100.0,
            )
            for k in range(AGENTS)
            for i in ITERATIONS
            for net, share in (("value net", 1.0), ("true value", 0.01))
        ]
    )


# Cosines per thousand pairs.
SLOPES = {"true value": 0.4, "value net": 0.3, "zero": 0.1}


def compared(cell: dict) -> pd.DataFrame:
    """Agent k: a cosine of its baseline's slope a thousand pairs, and k / 10; half of it with returns."""
    rows = []
    for k in range(AGENTS):
        for i in ITERATIONS:
            for baseline, slope in SLOPES.items():
                for way, share in (("gae", 1.0), ("returns", 0.5)):
                    for pairs in SIZES:
                        cosine = share * (slope * pairs / 1000 + k / 10)
                        where = {"agent": k, "iteration": i, "baseline": baseline, "advantage": way, "pairs": pairs}
                        rows.append(row(BaselineCosine, **cell, **where, cosine=cosine, repeats=8))
    return pd.DataFrame(rows)


def contrasted(kind, cell: dict, agents: range) -> pd.DataFrame:
    """The differences of `compared`, the same for every agent, and ends 0.05 away."""
    rows = []
    for where in ({"agent": k, "iteration": i} for k in agents for i in ITERATIONS):
        own = where if kind is BaselineDifference else {"iteration": where["iteration"], "agents": AGENTS}
        for one, other in combinations(SLOPES, 2):
            for way, share in (("gae", 1.0), ("returns", 0.5)):
                for pairs in SIZES:
                    gap = share * (SLOPES[one] - SLOPES[other]) * pairs / 1000
                    numbers = {"difference": gap, "low": gap - 0.05, "high": gap + 0.05}
                    names = {"baseline": one, "other": other, "advantage": way, "pairs": pairs}
                    rows.append(row(kind, **cell, **own, **names, **numbers))
    return pd.DataFrame(rows)


def landscape(cell: dict) -> pd.DataFrame:
    """The reward rises with the surrogate at iteration 0 and falls with it at iteration 4."""
    rows = []
    for i, sign in zip(ITERATIONS, (1, -1), strict=True):
        for pairs in REGIMES:
            for a in np.linspace(0, 3, 4):
                for b in np.linspace(0, 3, 3):
                    surrogate = a - 2.1 * b
                    where = {"agent": 0, "iteration": i, "step": a, "random": b, "update_pairs": pairs}
                    numbers = {"surrogate": surrogate, "reward": 50 + sign * surrogate**3, "reward_se": 2.0 + a}
                    numbers["trajectories"] = TRAJECTORIES
                    rows.append(row(LandscapePoint, **cell, **where, **numbers))
    return pd.DataFrame(rows)


def concentration(cell: dict) -> pd.DataFrame:
    """The rewards of `landscape` from all pairs; from fewer, every other point is 30 higher."""
    table = landscape(cell)
    parts = []
    for budget in BUDGETS:
        odd = np.arange(len(table)) % 2 if budget < BUDGETS[-1] else 0
        parts.append(table.assign(budget_pairs=budget, trajectories=budget // 50, reward=table["reward"] + 30 * odd))
    columns = [field.name for field in fields(SubsampledPoint)]
    return pd.concat(parts, ignore_index=True)[columns]


def resolution(cell: dict) -> pd.DataFrame:
    """A tenth of the pairs of points is resolved from the fewest pairs, and as much more from each larger budget.

    With shared noise it is twice as many.
    """
    return pd.DataFrame(
        [
            row(
                Resolution,
                **cell,
                agent=0,
                iteration=i,
                update_pairs=pairs,
                budget_pairs=budget,
                own_resolved_share=0.1 * (1 + k),
                shared_resolved_share=0.2 * (1 + k),
                own_noise_share=0.9 / (1 + k),
                shared_noise_share=0.5 / (1 + k),
            )
            for i in ITERATIONS
            for pairs in REGIMES
            for k, budget in enumerate(BUDGETS)
        ]
    )


def aligned(cell: dict) -> pd.DataFrame:
    """Correlations of 1 at iteration 0 and -1 at iteration 4; a full step gains 2 and then loses 2, give or take 1."""
    rows = []
    for i, sign in zip(ITERATIONS, (1.0, -1.0), strict=True):
        for pairs in REGIMES:
            numbers = {
                f"{kind}_correlation{end}": sign - shift
                for kind in ("grid", "step")
                for end, shift in (("", 0.0), ("_low", 0.1), ("_high", -0.1))
            }
            gains = {"gain": 2 * sign, "gain_low": 2 * sign - 1, "gain_high": 2 * sign + 1}
            where = {"agent": 0, "iteration": i, "update_pairs": pairs}
            rows.append(row(Alignment, **cell, **where, **numbers, **gains))
    return pd.DataFrame(rows)


def regimes(env: str) -> pd.DataFrame:
    """Agent k at iteration i: 10 i + k at the low rate; at the high one it rises to 100 (k + 1) at i = 5, and falls."""
    return pd.DataFrame(
        [
            {"env": env, "algorithm": "ppo", "timesteps": timesteps, "lr": lr}
            | row(
                IterationRecord,
                agent=k,
                iteration=i,
                pairs=(i + 1) * timesteps,
                mean_return=10.0 * i + k if lr == RATES[0] else 20.0 * (k + 1) * min(i, 10 - i),
            )
            for timesteps in (T, 5 * T)
            for lr in RATES
            for k in range(AGENTS)
            for i in range(TOTAL_PAIRS // timesteps)
        ]
    )


def make_experiment(envs=(ENV,), algorithms=("ppo",)) -> Experiment:
    cells = [{"env": env, "algorithm": algorithm} for env in envs for algorithm in algorithms]
    noise = [
        row(Noise, **cell, agent=k, iteration=i, reliability=0.9)
        for cell in cells
        for k in range(AGENTS)
        for i in ITERATIONS
    ]
    trained = pd.concat([history(**cell) for cell in cells], ignore_index=True)

    def of_cells(rows, *arguments) -> pd.DataFrame:
        return pd.concat([rows(*arguments[:1], cell, *arguments[1:]) for cell in cells], ignore_index=True)

    frames = {
        History: trained,
        Evaluation: of_cells(evaluation),
        Similarity: of_cells(similarity),
        Noise: pd.DataFrame(noise),
        UpdateAgreement: of_cells(updates),
        UpdateGain: of_cells(update_gains),
        SnapshotGain: of_cells(mean_gains, SnapshotGain, range(AGENTS)),
        AgentsGain: of_cells(mean_gains, AgentsGain, range(1)),
        PredictionError: of_cells(value),
        FitQuality: of_cells(fits),
        FitEpoch: of_cells(losses),
        StateValue: of_cells(visited),
        StateErrors: of_cells(opinions),
        BaselineCosine: of_cells(compared),
        BaselineDifference: of_cells(contrasted, BaselineDifference, range(AGENTS)),
        AgentsDifference: of_cells(contrasted, AgentsDifference, range(1)),
        LandscapePoint: of_cells(landscape),
        SubsampledPoint: of_cells(concentration),
        Resolution: of_cells(resolution),
        Alignment: of_cells(aligned),
        AblationHistory: trained.assign(mean_return=trained["mean_return"] / 10),
        RegimeHistory: pd.concat([regimes(env) for env in envs], ignore_index=True),
    }
    return Experiment(Tables(frames), T, STATISTICS, styles_of(["ppo", "ppo_m", "trpo"], []))


@pytest.fixture
def statistics() -> Statistics:
    return STATISTICS


@pytest.fixture
def experiment() -> Experiment:
    """One task, one algorithm."""
    return make_experiment()


@pytest.fixture
def many() -> Experiment:
    """Two tasks, three algorithms."""
    return make_experiment((ENV, "Walker2d-v4"), ("ppo", "ppo_m", "trpo"))


@pytest.fixture
def written(experiment, tmp_path) -> Path:
    """The tables of one cell and its task, as files."""
    write_files(experiment, tmp_path)
    return tmp_path


def write_files(experiment: Experiment, root: Path) -> None:
    """The tables of every cell and task, where `folder_under` finds them."""
    for kind, frame in experiment.tables.frames.items():
        table = table_of(kind)
        for (env, algorithm), rows in frame.groupby(["env", "algorithm"]):
            folder = folder_under(root)(env, algorithm if table.scope is TableScope.CELL else None, table.stage)
            folder.mkdir(parents=True, exist_ok=True)
            rows.to_csv(folder / table.file, index=False)


def folder_under(root: Path) -> Folder:
    return lambda env, algorithm, stage: root / stage / env / (algorithm or "")
