"""Tables of `update_gain`."""

from typing import Annotated

from dpg.tables.table import AgentSnapshot, Cell, Section, table

_Mean = Annotated[
    float, "of the quantity", "mean over updates and its interval, which resamples updates, each with its own episodes"
]
_AgentsMean = Annotated[
    float,
    "of the quantity",
    "mean over agents; the interval resamples agents, and within each agent its updates; of one agent, its updates",
]


@table("update_gain/update_gain.csv", Section.LANDSCAPES, per="update")
class UpdateGain(AgentSnapshot):
    """What a whole update does: from a studied snapshot, for every batch size in `update_gain.update_pairs`.

    Every update is made from a batch of its own.
    """

    update_pairs: Annotated[int, "pairs", "behind the update"]
    update: Annotated[
        int, "-", "which of the snapshot's updates, from 0; the same number has the same episodes at every batch size"
    ]
    trajectories: Annotated[int, "episodes", "complete episodes in the update's batch"]
    step_norm: Annotated[float, "-", "length of the step in parameter space"]
    own_surrogate_gain: Annotated[float, "-", "what the update adds to the algorithm's surrogate, on its own batch"]
    heldout_surrogate_gain: Annotated[float, "-", "the same on a held-out batch of as many fresh pairs"]
    episodes: Annotated[int, "episodes", "whole episodes of each of the policies before and after"]
    pairs: Annotated[int, "pairs", "in all of these episodes"]
    snapshot_return: Annotated[float, "reward", "mean return of the episodes before the update"]
    reward_gain: Annotated[float, "reward", "mean difference of the same episodes after and before"]
    reward_gain_se: Annotated[float, "reward", "its standard error"]


@table("update_gain/snapshots.csv", Section.LANDSCAPES, per="studied snapshot, batch size and quantity")
class SnapshotGain(AgentSnapshot):
    """The mean of a quantity over the updates from one snapshot.

    | quantity | unit | meaning |
    |---|---|---|
    | reward | reward | what an update adds to the return |
    | relative reward | % | the same, in percent of the absolute value of the snapshot's return |
    | own surrogate, held-out surrogate | - | what an update adds to the surrogate on either batch |
    | confirmed share | - | mean held-out gain over mean own gain: the rest was fitted to noise; blank where the own gain is not positive |
    | lowering share | - | share of updates whose episodes return less after than before; noise draws it towards a half |
    """  # noqa: E501 - a row of a table

    update_pairs: Annotated[int, "pairs", "behind an update"]
    quantity: Annotated[str, "-", "see above"]
    updates: Annotated[int, "updates", "whole updates"]
    unmoved: Annotated[int, "updates", "of these, without a step: they gain 0"]
    episodes: Annotated[int, "episodes", "of an update"]
    mean: _Mean
    low: _Mean
    high: _Mean


@table("update_gain/agents.csv", Section.LANDSCAPES, per="studied iteration, batch size and quantity")
class AgentsGain(Cell):
    """The mean of `update_gain/snapshots.csv` over agents."""

    iteration: Annotated[int, "-", "the studied iteration"]
    update_pairs: Annotated[int, "pairs", "behind an update"]
    quantity: Annotated[str, "-", "as in `update_gain/snapshots.csv`"]
    agents: Annotated[int, "agents", "that have the quantity"]
    updates: Annotated[int, "updates", "of all agents together"]
    episodes: Annotated[int, "episodes", "of an update"]
    mean: _AgentsMean
    low: _AgentsMean
    high: _AgentsMean
