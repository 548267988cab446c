"""Operating characteristics of the claims' rules, by simulation (docs/claims.md has the table).

How often does a rule decide wrongly, on either side, where the truth lies on its edge? How often does it support the
claim where the truth is an effect of the size that the paper shows? Simulated experiments have the sizes of a scale,
and are decided by the claims' own intervals and verdicts.

Most rules look at one number an agent: those are drawn from a normal distribution, with a spread between agents as
the tables of real runs have it. For the rules about learning rates whole training curves are drawn.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import optimize

from dpg.report import ablation
from dpg.report.claims import gradients, regimes, rules
from dpg.report.claims.cells import inequality
from dpg.report.claims.verdicts import Finding, Part, Verdict
from dpg.runtime.budgets import Budget
from dpg.runtime.schema import Statistics
from dpg.runtime.seeding import Seed

EDGE, PAPER = "edge", "paper"  # where the truth lies


@dataclass(frozen=True)
class Characteristics:
    """Of one rule at one scale: shares of simulated experiments.

    `false_supported` and `false_contradicted` with the truth on the edge, `power` of those supported with the truth at
    the paper's effect. `sizes` says what an experiment has.
    """

    claim: str
    scale: str
    sizes: str
    false_supported: float
    false_contradicted: float
    power: float


@dataclass(frozen=True)
class Effect:
    """A part of a rule about one number an agent: the number that the paper shows, and its spread between agents."""

    side: Literal["below", "above"]
    edge: float
    paper: float
    spread: float

    def truth(self, where: str) -> float:
        """The mean over agents."""
        return self.edge if where == EDGE else self.paper


# Effects are read off the paper's figures and text. Spreads are those of four PPO agents on Hopper, rounded up.
EFFECTS: Mapping[str, tuple[Effect, ...]] = {
    "G1": (Effect("below", rules.NOISY, 0.2, 0.15),),
    "G2": (Effect("below", 0.0, -0.4, 0.25),),
    "G4": (Effect("below", rules.NOISY_TRUE, 0.4, 0.15), Effect("below", rules.GOOD, 0.6, 0.1)),
    "G6": (Effect("below", rules.NOISY, 0.2, 0.15),),
    "V1": (Effect("below", rules.LOW_ERROR, 0.1, 0.03),) * 2,
    "V2": (Effect("above", rules.LOW_ERROR, 0.5, 0.1), Effect("above", 0.0, 0.4, 0.1)),
    "V3": (Effect("above", 0.0, 0.1, 0.05), Effect("above", 0.0, 0.08, 0.05)),
    "V4": (Effect("above", 0.0, 0.05, 0.04),),
    "L1": (Effect("below", rules.HALF, 0.2, 0.1),),
    "L2": (Effect("above", rules.HALF, 0.8, 0.1), Effect("below", rules.HALF, 0.2, 0.1)),
    # In percent of the snapshot's return.
    "L3": (Effect("above", 0.0, 5.0, 4.0),),
    "L4": (Effect("below", 0.0, -3.0, 4.0),),
    "L5": (Effect("above", 0.0, 5.0, 4.0),),
    "L6": (Effect("below", 0.0, -3.0, 4.0),),
}
HARDER, HARDER_SPREAD = -0.2, 0.1  # G3: cosine on Humanoid minus that on another task
# G5: share of cosines that are not positive. The paper's figures have them from a tenth on.
NONPOSITIVE = 0.1
WITHOUT, WITHOUT_SPREAD = 0.12, 0.2  # V5: final return without a baseline over that with it; relative spread
# R1, R2: a rate twice too high or low costs a tenth of the return. Agents differ by as much at all rates together, and
# by half of it at each.
COST, SHARED, OWN = 0.1, 0.1, 0.05
HIGHER = 2.0  # R1, R2: the best rate at the smallest T over that at the largest
FALLS, FALLS_SPREAD = -0.2, 0.1  # R3: of the peak return
ITERATIONS = 25

Simulate = Callable[[np.random.Generator, str, Statistics], Finding]


def simulations(budget: Budget) -> dict[str, tuple[str, Simulate]]:
    """What an experiment of this budget has, and how one is drawn and decided, for every claim."""
    agents, landscape = budget.train.agents, budget.landscape.agents
    found: dict[str, tuple[str, Simulate]] = {}
    for claim, effects in EFFECTS.items():
        count = landscape if claim in {"L1", "L2"} else agents
        found[claim] = (_agents(count), partial(one_number_an_agent, effects, count))
    tried = budget.regimes
    sizes = f"{_agents(tried.agents)} a rate, {len(tried.rates)} rates"
    found |= {
        "G3": (f"{_agents(agents)} a task", partial(harder_task, agents)),
        "G5": (f"{_agents(agents)}, {budget.gradient.repeats} estimates", partial(nonpositive, budget)),
        "V5": (f"{_agents(agents)} a side", partial(without_baseline, agents)),
        "R1": (sizes, partial(best_rates, "R1", budget)),
        "R2": (sizes, partial(best_rates, "R2", budget)),
        "R3": (sizes, partial(peak_then_decline, budget)),
    }
    return {claim: found[claim] for claim in rules.RULES}


def _agents(count: int) -> str:
    return f"{count} agent{'s' if count > 1 else ''}"


def measure(
    scale: str, budget: Budget, statistics: Statistics, experiments: int, claims: tuple[str, ...] = tuple(rules.RULES)
) -> Iterator[Characteristics]:
    """The characteristics of every claim, from so many simulated experiments on either truth."""
    for claim, (sizes, simulate) in simulations(budget).items():
        if claim not in claims:
            continue
        shares: dict[str, dict[Verdict, float]] = {}
        for where in (EDGE, PAPER):
            rng = (Seed(0) / "characteristics" / claim / scale / where).generator()
            verdicts = [simulate(rng, where, statistics).verdict for _ in range(experiments)]
            shares[where] = {verdict: verdicts.count(verdict) / experiments for verdict in Verdict}
        at_edge = shares[EDGE]
        yield Characteristics(
            claim,
            scale,
            sizes,
            at_edge[Verdict.SUPPORTED],
            at_edge[Verdict.CONTRADICTED],
            shares[PAPER][Verdict.SUPPORTED],
        )


def one_number_an_agent(
    effects: tuple[Effect, ...], agents: int, rng: np.random.Generator, where: str, statistics: Statistics
) -> Finding:
    """Normal numbers for every part of the rule; premises hold."""
    return Finding(
        "simulated",
        tuple(
            inequality(
                "simulated",
                pd.Series(each.truth(where) + each.spread * rng.standard_normal(agents)),
                each.side,
                each.edge,
                statistics,
            )
            for each in effects
        ),
    )


def harder_task(agents: int, rng: np.random.Generator, where: str, statistics: Statistics) -> Finding:
    """G3: cosines on three tasks."""
    truths = {gradients.HARD: HARDER if where == PAPER else 0.0} | dict.fromkeys(gradients.EASIER, 0.0)
    cosines = {
        name: pd.Series(0.3 + mean + HARDER_SPREAD * rng.standard_normal(agents)) for name, mean in truths.items()
    }
    return Finding(
        "simulated",
        tuple(
            gradients.difference(cosines[gradients.HARD], cosines[name], name, 2000, statistics)
            for name in gradients.EASIER
        ),
    )


def nonpositive(budget: Budget, rng: np.random.Generator, where: str, statistics: Statistics) -> Finding:
    """G5: estimates around a gradient, Gaussian in a few dimensions, so long that the share of cosines is the truth."""
    signal = _signal(rules.SOMETIMES if where == EDGE else NONPOSITIVE)
    agents, repeats = budget.train.agents, budget.gradient.repeats
    snapshots = sum(fraction > 0 for fraction in budget.checkpoint.fractions)
    estimates = rng.standard_normal((agents, snapshots, repeats, DIMENSIONS))
    estimates[..., 0] += signal
    pairs = np.triu_indices(repeats, 1)
    cosines = (estimates @ np.swapaxes(estimates, -1, -2))[..., pairs[0], pairs[1]]
    rows = pd.DataFrame(
        {
            "agent": np.repeat(np.arange(agents), snapshots),
            "iteration": np.tile(np.arange(snapshots), agents),
            "share_nonpositive": (cosines <= 0).mean(axis=-1).ravel(),
            "repeats": repeats,
            "pairs": 2000,
        }
    )
    return Finding("simulated", (gradients.nonpositive_part(rows, 2000, statistics),))


DIMENSIONS = 20  # in which estimates scatter
NODES = 100_000  # pairs of estimates, by which a share is told


@cache
def _signal(share: float) -> float:
    """The length of a gradient, in standard deviations of a component, at which so many cosines are not positive."""
    first, second = np.random.default_rng(0).standard_normal((2, NODES, DIMENSIONS))
    axis = np.eye(1, DIMENSIONS)
    excess = lambda s: float((np.sum((first + s * axis) * (second + s * axis), axis=-1) <= 0).mean()) - share  # noqa: E731
    return float(optimize.brentq(excess, 0.0, 100.0, xtol=1e-4))


def without_baseline(agents: int, rng: np.random.Generator, where: str, statistics: Statistics) -> Finding:
    """V5: final returns with the value net and without a baseline."""
    ratio = rules.HALF_ORDER if where == EDGE else WITHOUT

    def returns(mean: float) -> Float[np.ndarray, " N"]:
        return mean * np.exp(WITHOUT_SPREAD * rng.standard_normal(agents) - WITHOUT_SPREAD**2 / 2)

    interval = ablation.ratio_of_means(returns(1000 * ratio), returns(1000.0), statistics)
    return Finding("simulated", (Part("simulated", interval, "below", rules.HALF_ORDER),))


def best_rates(claim: str, budget: Budget, rng: np.random.Generator, where: str, statistics: Statistics) -> Finding:
    """R1, R2: level returns over the rates of the budget, around optima in the middle of its range."""
    tried = budget.regimes
    sizes = (tried.timesteps[0], tried.timesteps[-1])
    scaling = math.sqrt(sizes[1] / sizes[0])
    on_edge = {"R1": 1.0, "R2": 1 / scaling}[claim]
    ratio = on_edge if where == EDGE else HIGHER  # smallest over largest
    middle = math.sqrt(tried.rates[0] * tried.rates[-1])
    optima = dict(zip(sizes, (middle * math.sqrt(ratio), middle / math.sqrt(ratio)), strict=True))
    rows: list[dict[str, float]] = []
    for size, optimum in optima.items():
        shared = SHARED * rng.standard_normal(tried.agents)
        for rate in tried.rates:
            level = 1 - COST * math.log2(rate / optimum) ** 2
            returns = level + shared + OWN * rng.standard_normal(tried.agents)
            rows += [
                {"timesteps": size, "lr": rate, "agent": agent, "iteration": i, "mean_return": 1000 * value}
                for agent, value in enumerate(returns)
                for i in range(5)
            ]
    task = pd.DataFrame(rows).assign(env="simulated")
    return regimes.over_sizes("simulated", task, statistics, regimes.PARTS[claim])


def peak_then_decline(budget: Budget, rng: np.random.Generator, where: str, statistics: Statistics) -> Finding:
    """R3: curves that rise to a plateau, fall, and stay there, each longer than the window that smooths them."""
    agents = budget.regimes.agents
    fall = rules.FALLEN if where == EDGE else FALLS
    level = 1 + SHARED * rng.standard_normal(agents)
    ends = fall + FALLS_SPREAD * rng.standard_normal(agents) / 2
    x = np.linspace(0, 1, ITERATIONS)
    shape = np.clip(x / 0.2, 0, 1) + np.clip((x - 0.6) / 0.1, 0, 1) * ends[:, None]
    curves = 1000 * level[:, None] * shape * (1 + OWN * rng.standard_normal((agents, ITERATIONS)))
    rows = [
        {"agent": agent, "iteration": i, "mean_return": value}
        for agent, curve in enumerate(curves)
        for i, value in enumerate(curve)
    ]
    return Finding("simulated", (regimes.decline_part(pd.DataFrame(rows), 20_000, 1e-4, statistics),))


def to_markdown(found: list[Characteristics]) -> str:
    """The table of docs/claims.md."""
    titles = ("claim", "scale", "an experiment has", "false supported", "false contradicted", "power")
    return f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}\n" + "".join(
        f"| {each.claim} | `{each.scale}` | {each.sizes} | {each.false_supported:.1%} | {each.false_contradicted:.1%} "
        f"| {each.power:.0%} |\n"
        for each in found
    )
