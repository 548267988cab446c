"""Tables of `baselines`."""

from typing import Annotated

from dpg.tables.table import AgentSnapshot, Cell, Section, table

_Cosine = Annotated[
    float,
    "-",
    "mean pairwise cosine of the estimates, and its interval, over the estimates; blank if the advantages of one do "
    "not vary",
]
_Difference = Annotated[
    float,
    "-",
    "mean cosine with `baseline` minus that with `other`; the interval is over the estimates, for both at once",
]
_AgentsDifference = Annotated[
    float,
    "-",
    "mean over agents; the interval resamples agents, and within each agent its estimates, for both baselines at once",
]
_Baseline = Annotated[str, "-", "b(s): `true value` (V*), `value net` (the agent's own) or `zero`"]
_Pair = Annotated[str, "-", "the two baselines that are compared"]
_Advantage = Annotated[
    str,
    "-",
    "`gae`: the baseline inside GAE (zero: the discounted return of what was recorded); `returns`: Q(s, a) - b(s), Q "
    "being the discounted return, which goes on with V* where an episode was truncated or cut",
]
_Pairs = Annotated[int, "pairs", "behind one estimate"]


@table("baselines/baselines.csv", Section.VALUES, per="studied snapshot, baseline, kind of advantage and sample size")
class BaselineCosine(AgentSnapshot):
    """How well gradient estimates agree with one baseline. Every baseline sees the same streams."""

    baseline: _Baseline
    advantage: _Advantage
    pairs: _Pairs
    trajectories: Annotated[float, "episodes", "complete episodes in these pairs, mean over the estimates"]
    repeats: Annotated[int, "estimates", "made from disjoint streams"]
    cosine: _Cosine
    low: _Cosine
    high: _Cosine


@table(
    "baselines/differences.csv",
    Section.VALUES,
    per="studied snapshot, pair of baselines, kind of advantage and sample size",
)
class BaselineDifference(AgentSnapshot):
    """What one baseline adds to the agreement over another, on the same streams."""

    baseline: _Pair
    other: _Pair
    advantage: _Advantage
    pairs: _Pairs
    repeats: Annotated[int, "estimates", "made from disjoint streams"]
    difference: _Difference
    low: _Difference
    high: _Difference


@table(
    "baselines/agents.csv",
    Section.VALUES,
    per="studied iteration, pair of baselines, kind of advantage and sample size",
)
class AgentsDifference(Cell):
    """The mean of `baselines/differences.csv` over agents."""

    iteration: Annotated[int, "-", "the studied iteration"]
    baseline: _Pair
    other: _Pair
    advantage: _Advantage
    pairs: _Pairs
    agents: Annotated[int, "agents", "that have a difference"]
    repeats: Annotated[int, "estimates", "of all agents together"]
    difference: _AgentsDifference
    low: _AgentsDifference
    high: _AgentsDifference
