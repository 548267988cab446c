"""The table of `update_step`."""

from typing import Annotated

from dpg.tables.table import AgentSnapshot, Section, table

_Cosine = Annotated[float, "-", "mean pairwise cosine of the steps, and its interval, over the updates"]
_KL = Annotated[
    float, "nats", "mean pairwise KL between the updated policies over states of the snapshot's policy, likewise"
]


@table("update_step/update_step.csv", Section.GRADIENTS, per="snapshot of the curve")
class UpdateAgreement(AgentSnapshot):
    """How far whole updates from one snapshot agree, each made from a batch of its own."""

    updates: Annotated[int, "updates", "whole updates from the snapshot"]
    unmoved: Annotated[int, "updates", "of these, without a step (TRPO's line search found none); they have no cosine"]
    pairs: Annotated[int, "pairs", "behind one update"]
    trajectories: Annotated[float, "episodes", "complete episodes in these pairs, mean over the updates"]
    cosine: _Cosine
    cosine_low: _Cosine
    cosine_high: _Cosine
    kl: _KL
    kl_low: _KL
    kl_high: _KL
    step_norm: Annotated[float, "-", "mean length of a step in parameter space"]
