"""The table of `checkpoint`."""

from typing import Annotated

from dpg.tables.table import AgentSnapshot, Section, table

_Return = Annotated[float, "reward", "mean return and its interval, over episodes"]


@table("checkpoint/evaluation.csv", Section.REWARDS, per="studied snapshot and way of acting")
class Evaluation(AgentSnapshot):
    """Raw undiscounted returns of whole episodes from the studied snapshots."""

    actions: Annotated[str, "-", "`sampled`, or `deterministic`: the policy's mean"]
    episodes: Annotated[int, "episodes", "whole episodes"]
    pairs: Annotated[int, "pairs", "in these episodes"]
    mean_return: _Return
    low: _Return
    high: _Return
    mean_length: Annotated[float, "pairs", "of an episode"]
