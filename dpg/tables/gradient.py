"""Tables of `gradient`."""

from typing import Annotated

from dpg.tables.table import AgentSnapshot, Section, table

_Cosine = Annotated[float, "-", "mean cosine and its interval, over the estimates (jackknife of a mean over pairs)"]
_Scale = Annotated[
    float,
    "pairs",
    "interval of the noise scale (Fieller), over groups of streams; a blank `high`: the gradient does not differ "
    "significantly from zero, and the scale is more than `low`",
]
_PairsFor = Annotated[float, "pairs", "at which the mean cosine reaches 0.9; blank: more than `largest_pairs`"]
_Against = Annotated[str, "-", "`each other`: cosines among the estimates; `true`: cosines with the true gradient"]


@table("gradient/similarity.csv", Section.GRADIENTS, per="studied snapshot, sample size and comparison")
class Similarity(AgentSnapshot):
    """Cosines of gradient estimates of one size from one snapshot, with each other or with the true gradient."""

    against: _Against
    pairs: Annotated[int, "pairs", "behind one estimate"]
    trajectories: Annotated[float, "episodes", "complete episodes in these pairs, mean over the estimates"]
    repeats: Annotated[int, "estimates", "made from disjoint streams, that have a direction"]
    undirected: Annotated[int, "estimates", "without a direction, since their advantages do not vary: without a cosine"]
    cosine: _Cosine
    low: _Cosine
    high: _Cosine
    corrected_cosine: Annotated[
        float, "-", "against `true`: divided by the square root of the true gradient's reliability"
    ]
    share_nonpositive: Annotated[float, "-", "share of the cosines that are zero or negative"]
    random_floor: Annotated[
        float,
        "-",
        "1/√D: the size of one cosine of two random vectors in D parameters; a mean over n pairs has 1/√(n D)",
    ]


@table("gradient/noise.csv", Section.GRADIENTS, per="studied snapshot")
class Noise(AgentSnapshot):
    """The true gradient g of a snapshot, its quality, and the noise of estimates around it (arXiv:1812.06162)."""

    true_pairs: Annotated[int, "pairs", "behind the true gradient ĝ"]
    true_trajectories: Annotated[int, "episodes", "complete episodes in these pairs"]
    split_half_cosine: Annotated[float, "-", "cosine between the true gradient's two halves"]
    reliability: Annotated[float, "-", "unbiased |g|² over |ĝ|²: 1 is noiseless, 0 is noise"]
    gradient_squared: Annotated[float, "-", "unbiased |g|²"]
    trace: Annotated[
        float,
        "-",
        "trace of the covariance of one pair's gradient, streams being the independent unit; the advantages' deviation "
        "from the same streams is accounted for",
    ]
    noise_scale_pairs: Annotated[
        float,
        "pairs",
        "`trace / gradient_squared`, the gradient noise scale (eq. 2.8); blank where the latter is not positive",
    ]
    noise_scale_low: _Scale
    noise_scale_high: _Scale
    signal_to_noise: Annotated[
        float,
        "-",
        "|g|² over the expected squared error of an estimate from T pairs; unbiased parts, so it may be negative",
    ]
    pairwise_pairs_for_090: _PairsFor
    true_pairs_for_090: _PairsFor
    largest_pairs: Annotated[int, "pairs", "the largest size measured"]
