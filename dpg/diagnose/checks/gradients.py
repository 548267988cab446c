"""Policy gradients from one training batch: how much is signal, where the noise is, and what baselines would change."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from dpg.diagnose import figures
from dpg.diagnose.evidence import (
    CONFIDENCE,
    RESAMPLES,
    Evidence,
    UnmeasuredError,
    layer_shares,
    layer_slices,
    parts_of,
    scale_in_pairs,
    times,
)
from dpg.diagnose.findings import Effect, check, exactly
from dpg.diagnose.measurements import baselines_of
from dpg.numerics.statistics import Sample, pairwise_interval, sample_interval
from dpg.numerics.vectors import cosine_matrix
from dpg.probes.gradient_sums import GradientMoments, gradient_noise, pool, pseudo_values

LEVELS = (0.7, 0.9)


@check(
    name="gradient agreement",
    question="Do two batches of training's size agree on where to go?",
    needs=("streams",),
    parts=("gradient",),
    rule="found if the gradients of two batches have a mean cosine below 0.1",
    why="The cosine is the share of an estimate's squared length that is signal. Below a tenth, nine tenths of every "
    "step are noise: small steps average it out over many batches, large ones follow it.",
    remedies=(
        "Collect more pairs for each update: the pairs needed stand here, with their bound.",
        "Or take smaller steps: a lower learning rate, fewer epochs, a tighter clip or trust region.",
        "Reduce the noise: a better value net, a lower lambda, a lower gamma.",
        "If the return no longer rises, this is what convergence looks like: the gradient has gone, the noise has not.",
    ),
    draw=figures.agreement,
)
def agreement(evidence: Evidence) -> Sequence[Effect]:
    """Cosines between the gradients of single batches; the noise scale, and what follows from it."""
    gradients = evidence.gradients()
    directed = gradients[np.linalg.norm(gradients, axis=-1) > 0]
    if len(directed) < 3:
        raise UnmeasuredError("the advantages do not vary: there is no gradient")
    matrix = cosine_matrix(directed)
    rng = evidence.generator("agreement")
    cosine = pairwise_interval(matrix, CONFIDENCE, RESAMPLES, rng, cosine=True)
    batch = evidence.snapshot.recipe.batch_pairs
    sizes = batch_sizes(evidence)
    quantity = f"mean cosine between the gradients of two batches of {batch:,} pairs"
    scale = scale_in_pairs(evidence)
    needed = [
        Effect(f"pairs for a cosine of {level} with the true gradient", times(scale, pairs_for(level)), sizes)
        for level in LEVELS
    ]
    return [
        Effect(quantity, cosine, sizes, (0.1, math.inf)),
        Effect("gradient noise scale", scale, sizes, None, "pairs"),
        *needed,
    ]


def batch_sizes(evidence: Evidence) -> dict[str, int]:
    """Behind all effects of this module."""
    sums = evidence.sums()
    batches = len(sums.pairs) // evidence.snapshot.recipe.num_envs
    return {"batches": batches, "pairs": int(sums.pairs.sum()), "episodes": int(sums.episodes.sum())}


def pairs_for(cosine: float) -> float:
    """Pairs, in noise scales B, from which an estimate has this cosine with the true gradient: 1/sqrt(1 + B/N)."""
    return cosine**2 / (1 - cosine**2)


@check(
    name="log-std gradient",
    question="Does the gradient move what the agent does, or how much noise it adds?",
    needs=("streams",),
    parts=("gradient",),
    rule="found if the log standard deviations have more than half of the squared gradient",
    why="They are a handful of thousands of parameters. Where they lead, an update mostly narrows or widens the noise, "
    "and steps of a fixed length (a trust region, a norm clip) are spent on that.",
    remedies=(
        "The noise is too wide or too narrow for the task: change the initial log_std or the entropy bonus.",
        "Give the log standard deviations a learning rate of their own.",
    ),
    draw=figures.layers,
)
def log_std_share(evidence: Evidence) -> Sequence[Effect]:
    """Unbiased squared norms, of the part and of the whole; and every layer's shares."""
    whole, part = evidence.gradient_parts, parts_of(evidence.sums(), layer_slices(evidence)["log std"])

    def squared(moments: GradientMoments) -> Float[np.ndarray, " 1"]:
        return np.array([gradient_noise(*moments).gradient_squared])

    squares = np.column_stack([pseudo_values(each, squared)[:, 0] for each in (part, whole)])
    above, below = (float(squared(pool(each))[0]) for each in (part, whole))
    sizes = batch_sizes(evidence)
    quantity = "share of the log standard deviations in the squared gradient"
    if not below > 0:
        raise UnmeasuredError("the gradient cannot be distinguished from zero, nor can its parts")
    share = above / below
    # To first order, the pseudo-values of a ratio.
    values = share + (squares[:, 0] - share * squares[:, 1]) / below
    rng = evidence.generator("log std share")
    interval = sample_interval(Sample(share, values - values.mean() + share), CONFIDENCE, RESAMPLES, rng)
    rows = [
        Effect(f"{name}: share of the {what}", exactly(value), sizes)
        for name, *shares in layer_shares(evidence)
        for what, value in zip(("squared gradient", "noise"), shares, strict=True)
    ]
    return [Effect(quantity, interval, sizes, (-math.inf, 0.5)), *rows]


@check(
    name="baselines",
    question="Would a better baseline make the gradient less noisy?",
    needs=("streams",),
    wants=("fit",),
    parts=("value net", "gradient"),
    rule="found if V* raises the cosine of two batches by more than 0.1, or no baseline at all raises it",
    why="V* is what a value net of this kind can reach with many times the data. What it gains is what a better fit "
    "would gain; a net that does worse than nothing adds noise.",
    remedies=(
        "V* gains: train the value net more (epochs, rate, size), or fit it to more pairs.",
        "No baseline gains: the value net is wrong; see value error, bias and reward unit.",
    ),
)
def better_baselines(evidence: Evidence) -> Sequence[Effect]:
    """Differences of the mean cosine of two batches, on the same streams."""
    own, *others = baselines_of(evidence.snapshot, evidence.fit and evidence.fit.value)
    matrices = {name: cosine_matrix(evidence.gradients(name)) for name in [own, *others]}
    effects = []
    for name in others:
        rng = evidence.generator(f"baseline {name}")
        gap = pairwise_interval(matrices[name] - matrices[own], CONFIDENCE, RESAMPLES, rng)
        label = {"true value": "V*, fitted to true returns", "zero": "no baseline"}.get(name, name)
        limit = 0.1 if name == "true value" else 0.0
        quantity = f"change of the cosine of two batches with {label} instead of the agent's ({own})"
        effects.append(Effect(quantity, gap, batch_sizes(evidence), (-math.inf, limit)))
    if evidence.fit is not None:
        quality = evidence.fit.quality
        sizes = {"pairs": quality.heldout_pairs, "episodes": quality.heldout_trajectories}
        both = (
            ("V*", quality.explained_variance),
            ("the value net", quality.value_net_explained_variance),
        )
        effects += [
            Effect(f"explained variance of held-out returns by {name}", exactly(value), sizes) for name, value in both
        ]
    return effects
