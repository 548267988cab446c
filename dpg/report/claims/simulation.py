"""Simulated experiments, to measure a rule's error rates: with the truth on its threshold, or at the paper's effect.

Most rules use one number per agent, drawn from a normal distribution with the spread of real runs (`one_number`). Other
claims draw what their rule reads.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dpg.report.claims.verdicts import Finding, Part, Side, inequality
from dpg.report.wording import counted
from dpg.runtime.budgets import Budget
from dpg.runtime.schema import Statistics

THRESHOLD, PAPER = "edge", "paper"  # where the truth is; the values are names in the seed tree


@dataclass(frozen=True)
class Simulation:
    """The sizes of an experiment in words, and a function that draws and decides one, with the truth as named."""

    sizes: Callable[[Budget], str]
    draw: Callable[[Budget, np.random.Generator, str, Statistics], Finding]


@dataclass(frozen=True)
class SimulatedEffect:
    """A part of a rule about one number per agent: its value in the paper, and its spread between agents.

    Effects are read off the paper's figures and text. Spreads are those of four PPO agents on Hopper, rounded up.
    """

    side: Side
    threshold: float
    paper: float
    spread: float


def one_number(
    *effects: SimulatedEffect, of: Callable[[Budget], int] = lambda budget: budget.train.agents
) -> Simulation:
    """Draw a normal number per agent for every part of the rule; premises hold."""

    def draw(budget: Budget, rng: np.random.Generator, where: str, statistics: Statistics) -> Finding:
        def part(effect: SimulatedEffect) -> Part:
            truth = effect.threshold if where == THRESHOLD else effect.paper
            values = pd.Series(truth + effect.spread * rng.standard_normal(of(budget)))
            return inequality("simulated", values, effect.side, effect.threshold, statistics)

        return Finding(tuple(map(part, effects)))

    return Simulation(lambda budget: counted(of(budget), "agent"), draw)
