"""The table of `value`."""

from typing import Annotated

from dpg.tables.table import AgentSnapshot, Section, table


@table("value/value.csv", Section.VALUES, per="snapshot of the curve, split and target")
class PredictionError(AgentSnapshot):
    """Errors of a snapshot's value net after its update.

    In the authors' release R is the discounted sum of the recorded rewards up to the end of the episode, time limits
    included, or of the batch of T pairs; nothing stands for what would have followed (`dpg/probes/release_errors.py`).
    Where time limits bootstrap, no return is known closer than H pairs before one, and those lose most:
    `hindsight_error` leaves them out; compare it with `release_error_known`.
    """

    split: Annotated[str, "-", "`train`: the iteration's own batch; `heldout`: fresh streams"]
    target: Annotated[
        str,
        "-",
        "`gae`: V_old + A_GAE, what the net is fitted to unless `common.value_target` says otherwise; `returns`: the "
        "discounted return",
    ]
    pairs: Annotated[int, "pairs", "whose target is known"]
    trajectories: Annotated[int, "episodes", "complete episodes among the pairs that are scored"]
    mean_relative_error: Annotated[
        float, "-", "mean |V - y| / |y| (the paper's), without pairs at which y is zero and V is not"
    ]
    trimmed_relative_error: Annotated[float, "-", "the same without the 5 % at either end"]
    median_relative_error: Annotated[float, "-", "the median"]
    near_zero_share: Annotated[
        float, "-", "share of targets below a thousandth of their deviation, where relative errors explode"
    ]
    explained_variance: Annotated[float, "-", "1 - var(y - V) / var(y)"]
    release_error: Annotated[
        float,
        "`returns`: -; `gae`: scaled reward",
        "by the formula of the authors' release: mean |V - R| / |R|, or mean (V - y)² / |y|",
    ]
    release_pairs: Annotated[
        int, "pairs", "that the formula counts: all but those after which an episode ended, and targets of zero"
    ]
    release_error_known: Annotated[float, "as `release_error`", "`release_error` over the `hindsight_pairs` alone"]
    hindsight_error: Annotated[
        float, "-", "the formula for returns, with the discounted return itself as the prediction; blank for `gae`"
    ]
    hindsight_pairs: Annotated[int, "pairs", "of `release_pairs`, those whose return is known; 0 for `gae`"]
