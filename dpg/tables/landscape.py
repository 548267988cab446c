"""Tables of `landscape`."""

from typing import Annotated

from dpg.tables.table import AgentSnapshot, Section, table

_UpdatePairs = Annotated[int, "pairs", "behind the update whose step spans the plane"]
_UpdateTrajectories = Annotated[int, "episodes", "complete episodes in the update's batch"]
_Coordinate = Annotated[
    float,
    "-",
    "coordinates a and b: theta = theta_i + a · (whole update step) + b · (random direction)",
]
_Norm = Annotated[float, "-", "lengths of the two directions in parameter space"]
_BudgetPairs = Annotated[
    int,
    "pairs",
    "meant for a point; the largest budget is all that was collected, or the most with `landscape.target_error`",
]
_Reward = Annotated[
    float,
    "reward",
    "mean raw return of whole episodes; at a point with fewer episodes than the snapshot, and common random numbers, "
    "the snapshot's mean plus the mean difference from it",
]
_NoiseStd = Annotated[
    float,
    "reward",
    "what sampling alone contributes to a difference of neighbours: of independent points, and of points as they were "
    "measured",
]
_NoiseShare = Annotated[
    float,
    "-",
    "the share of that in the neighbours' mean squared difference, as independent points would have it, and as it was "
    "found: near 1, what looks rugged is noise; near 0, it is relief",
]
_GridCorrelation = Annotated[
    float, "-", "rank correlation (Spearman) of surrogate and reward over the grid, and its interval"
]
_StepCorrelation = Annotated[float, "-", "the same along the step; blank where the surrogate is constant"]
_Gain = Annotated[float, "reward", "what the full step adds to the reward, and its interval"]


@table("landscape/landscape.csv", Section.LANDSCAPES, per="studied snapshot, batch size of the update and grid point")
class LandscapePoint(AgentSnapshot):
    """Surrogate and reward at a point of the plane.

    The directions, the coordinates of the points, and surrogate and reward at each are also in
    `data/landscape/<env>/<algorithm>/directions.safetensors`, by snapshot and batch size. A grid without the full step
    (1, 0) has it measured in addition: it is the last point there, and in no row here.
    """

    update_pairs: _UpdatePairs
    update_trajectories: _UpdateTrajectories
    step: _Coordinate
    random: _Coordinate
    step_norm: _Norm
    random_norm: _Norm
    surrogate: Annotated[float, "-", "what the algorithm maximises, on the update's batch"]
    reward: _Reward
    reward_se: Annotated[float, "reward", "its standard error"]
    trajectories: Annotated[int, "episodes", "of the point"]
    pairs: Annotated[int, "pairs", "of the point"]
    common_random_numbers: Annotated[bool, "-", "whether all points share their initial states and action noise"]


@table(
    "landscape/concentration.csv",
    Section.LANDSCAPES,
    per="studied snapshot, batch size of the update, budget of pairs and grid point",
)
class SubsampledPoint(AgentSnapshot):
    """The reward of a point from fewer trajectories: the first ones of the same collection."""

    update_pairs: _UpdatePairs
    budget_pairs: _BudgetPairs
    step: _Coordinate
    random: _Coordinate
    reward: Annotated[float, "reward", "as in `landscape.csv`, from the first episodes"]
    reward_se: Annotated[float, "reward", "its standard error"]
    trajectories: Annotated[int, "episodes", "of the point"]
    pairs: Annotated[int, "pairs", "of the point"]


@table(
    "landscape/resolution.csv",
    Section.LANDSCAPES,
    per="studied snapshot, batch size of the update and budget of pairs",
)
class Resolution(AgentSnapshot):
    """How much of a landscape is relief, and how much noise.

    `shared` columns are for the points as measured, with common random numbers: the error of a difference is that of
    the trajectories' differences. They are blank without common random numbers. `own` columns are what is expected of
    points measured independently, as a trainer compares policies: a difference has the errors of both points, and
    scatters accordingly. They are for the whole budget, also where a target error needed fewer trajectories. The claims
    use them.
    """

    update_pairs: _UpdatePairs
    budget_pairs: _BudgetPairs
    trajectories: Annotated[int, "episodes", "behind a point, at least"]
    pairs: Annotated[float, "pairs", "behind a point, mean over points"]
    reward_se: Annotated[float, "reward", "median standard error of a point"]
    point_pairs: Annotated[int, "pairs of points", "of the grid"]
    own_resolved_share: Annotated[
        float,
        "-",
        "share of pairs of points that would differ by more than the half width of their difference's interval, were "
        "points measured independently; of equal points, 5 % would",
    ]
    shared_resolved_share: Annotated[
        float, "-", "share of pairs of points that do, as they were measured, with common random numbers"
    ]
    neighbour_std: Annotated[float, "reward", "root mean square difference between neighbours on the grid"]
    own_noise_std: _NoiseStd
    shared_noise_std: _NoiseStd
    own_noise_share: _NoiseShare
    shared_noise_share: _NoiseShare


@table("landscape/alignment.csv", Section.LANDSCAPES, per="studied snapshot and batch size of the update")
class Alignment(AgentSnapshot):
    """Surrogate and reward of a landscape together.

    Intervals are over trajectories, with common random numbers the same ones at all points.
    """

    update_pairs: _UpdatePairs
    update_trajectories: _UpdateTrajectories
    step_norm: Annotated[float, "-", "length of the update step"]
    points: Annotated[int, "points", "of the grid"]
    step_points: Annotated[int, "points", "of these, along the step (b = 0)"]
    trajectories: Annotated[int, "episodes", "behind the reward of a point, at least"]
    pairs: Annotated[int, "pairs", "of all points together"]
    grid_correlation: _GridCorrelation
    grid_correlation_low: _GridCorrelation
    grid_correlation_high: _GridCorrelation
    step_correlation: _StepCorrelation
    step_correlation_low: _StepCorrelation
    step_correlation_high: _StepCorrelation
    surrogate_gain: Annotated[float, "-", "what one full step (a = 1, b = 0) adds to the surrogate"]
    snapshot_reward: Annotated[float, "reward", "mean return of the snapshot"]
    full_step_reward: Annotated[float, "reward", "mean return after the full step"]
    gain: _Gain
    gain_low: _Gain
    gain_high: _Gain
