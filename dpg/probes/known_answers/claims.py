"""The decision rule of claims, on experiments whose truth is known."""

import numpy as np
import pandas as pd

from dpg.numerics.statistics import Interval
from dpg.probes.known_answers.verdicts import broken, predicted_check
from dpg.report.claims.verdicts import Part, Verdict, inequality
from dpg.runtime.schema import STATISTICS
from dpg.runtime.seeding import Seed
from dpg.tables.calibrate import Check

THRESHOLD, SPREAD = 0.5, 0.15  # similar to those of cosines at T pairs
AGENTS = 4
EXPERIMENTS = 2000


def claim_checks(seed: int) -> list[Check]:
    """How often a claim about a mean over agents is decided, always wrongly, when the truth is at its threshold.

    Intervals at 95 % decide one experiment in twenty. Broken are bootstrap percentiles alone, which are too narrow for
    few agents.
    """
    rng = (Seed(seed) / "claims").generator()
    numbers = THRESHOLD + SPREAD * rng.standard_normal((EXPERIMENTS, AGENTS))
    verdicts = [inequality("", pd.Series(row), "below", THRESHOLD, STATISTICS).verdict for row in numbers]
    chosen = rng.integers(0, AGENTS, (STATISTICS.resamples, AGENTS))
    ends = np.percentile(numbers[:, chosen].mean(axis=-1), [2.5, 97.5], axis=-1).T
    means = zip(numbers.mean(axis=-1), ends, strict=True)
    percentiles = [Part("", Interval(mean, *pair), "below", THRESHOLD).verdict for mean, pair in means]
    expected = 1 - STATISTICS.confidence
    std = float(np.sqrt(expected * (1 - expected) / EXPERIMENTS))

    def check(title: str, verdicts: list[Verdict]) -> Check:
        share = 1 - verdicts.count(Verdict.INCONCLUSIVE) / EXPERIMENTS
        return predicted_check(f"claim on its edge decided, {AGENTS} agents{title}", expected, std, share)

    return [check("", verdicts), broken(check(", percentiles alone", percentiles))]
