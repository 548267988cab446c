"""The rules by which the paper's claims are decided: all of them, with the reason for every threshold.

They follow from the paper's text, and no outcome chose or changed a threshold: an edge is a number that means something
(noise equals signal, half an order of magnitude), never one that a table suggested.
"""

import math

from dpg.report.claims.verdicts import Rule

# E cos of two independent estimates is near s / (1 + s), with s the ratio of the gradient's squared length to an
# estimate's expected squared error: below a half there is more noise than gradient.
NOISY = 0.5
# The same s = 1, against the true gradient: E cos is near sqrt(s / (1 + s)).
NOISY_TRUE = math.sqrt(0.5)
# Of a true gradient: with less it is more noise than signal, and a correction for it mostly noise.
RELIABLE = 0.5
GOOD = 0.9  # a cosine that is good enough, as the tables have it
SEVERAL = 3  # several-fold
SOMETIMES = 0.01
SLIGHTLY = 1.5  # times: the widest step of the paper's own grid of rates
FALLEN = -0.05
LEVELLED = 0.1
LOW_ERROR = 0.25
# Of the variance of returns: at least as much of the true values' is then explained, whatever chance adds to returns.
GOOD_FIT = 0.9
NO_WORSE = -0.01  # returns are known to one part in a hundred: to that, no worse
HALF = 0.5
MANY = 10  # times T a point
ORDERS = 100  # times T in an update: two orders of magnitude
HALF_ORDER = 1 / math.sqrt(10)

LATER = "Snapshots after the initial policy, one value an agent, their mean."

_RULES = (
    Rule(
        "G1",
        "Gradient estimates from as many pairs as training uses agree poorly, although the agents improve.",
        f"Mean pairwise cosine of estimates from T pairs below {NOISY}. {LATER} Premise: the return rises from the "
        "first studied snapshot to the last.",
        "Two estimates whose noise is as large as the gradient have an expected cosine of a half: below it an estimate "
        "is more noise than gradient. The initial policy is left out because the paper speaks of the time after the "
        "first steps.",
        ("gradient/similarity.csv", "checkpoint/evaluation.csv"),
    ),
    Rule(
        "G2",
        "Agreement falls as training goes on.",
        "Pairwise cosine at T pairs at the last studied snapshot minus that at the first, for each agent: below 0.",
        "The paper claims a direction, not a size.",
        ("gradient/similarity.csv",),
    ),
    Rule(
        "G3",
        "Agreement falls with the complexity of the task.",
        "Pairwise cosine at T pairs of one algorithm on Humanoid minus that on Hopper, and minus that on Walker2d: "
        f"both below 0. {LATER}",
        "The paper sets Humanoid, its hard task, against the other two, and does not order those.",
        ("gradient/similarity.csv",),
    ),
    Rule(
        "G4",
        "At T pairs estimates correlate poorly with the true gradient; a good correlation takes several times as many.",
        f"Cosine with the true gradient, corrected for the latter's own noise, below {NOISY_TRUE:.3f} at T pairs, and "
        f"below {GOOD} at the smallest measured size of at least {SEVERAL} T. {LATER} Snapshots count whose true "
        f"gradient has a reliability of at least {RELIABLE:g}; inconclusive where one has less.",
        "Noise as large as the gradient gives an expected cosine of 1/sqrt(2) with the truth: the edge of G1, seen "
        f"from the truth. {GOOD} is good by the paper's curves, and several is at least {SEVERAL}. Corrected, since a "
        "noisy true gradient would lower every cosine and so support the claim. A true gradient of less reliability is "
        "more noise than signal, and a correction for it mostly noise.",
        ("gradient/similarity.csv",),
    ),
    Rule(
        "G5",
        "Zero and negative correlations occur at T pairs.",
        f"Share of pairwise cosines at T pairs that are zero or negative above {SOMETIMES}. {LATER} The interval is no "
        "narrower than the exact binomial bounds of as many trials as there are independent estimates.",
        "Sometimes is more than once in a hundred: the paper's 500 iterations would then meet it about five times. "
        "Small shares are skewed: most agents have met none, and their spread says too little.",
        ("gradient/similarity.csv",),
    ),
    Rule(
        "G6",
        "The updates themselves vary as much.",
        f"Mean pairwise cosine of whole updates from T pairs each below {NOISY}. {LATER}",
        "As for G1.",
        ("update_step/update_step.csv",),
    ),
    Rule(
        "R1",
        "The best learning rate is higher for small samples than for large ones.",
        "Best rate at the smallest T over the best at the largest: above 1. Returns are means over the last fifth of "
        "the training; the best rate is where a parabola in the rate's logarithm through the best rate tried and its "
        "two neighbours is highest; agents are resampled at each T and the best is found anew. Inconclusive where the "
        "best rate tried is the lowest or highest. Premise: at both T, at the best rate, the last fifth of the "
        f"training adds less than {LEVELLED:g} of the final return.",
        "The paper claims a direction. The optimum may lie beyond a rate at the end of the range. Where training still "
        "rises, the best rate is the one that starts fastest, and a larger T has had fewer updates to start with: a "
        "tenth in a fifth of the training is half of what a training that rises evenly from zero to its end adds.",
        ("regimes/history.csv",),
    ),
    Rule(
        "R2",
        "Scaling the rate linearly with the batch does not hold.",
        "Best rate at the largest T over the one that linear scaling predicts from the best at the smallest: below "
        "sqrt(T_smallest / T_largest). Otherwise as R1.",
        "The edge is scaling with the square root, half-way (in logarithms) between linear scaling and none.",
        ("regimes/history.csv",),
    ),
    Rule(
        "R3",
        "With large samples, rates slightly above the best peak and then decline.",
        "At the largest T, with the next rate above the best: final return minus the return at the peak, over the "
        f"latter, below {FALLEN}. Where an agent peaked is taken from the other agents' mean curve. Not measured where "
        f"the best rate's neighbours are more than {SLIGHTLY:g} times apart from it.",
        "An agent's own maximum is one over noise, and would show a decline always. Less than a twentieth is no "
        "deterioration that the paper's figure would show. Its rates lie a quarter to a half above each other: "
        f"{SLIGHTLY:g} times is the most that may be called slightly, whatever the outcome.",
        ("regimes/history.csv",),
    ),
    Rule(
        "V1",
        "Value nets fit their own target well, and that generalises to pairs that they have not seen.",
        f"Relative error against V_old + A_GAE, 5 % trimmed, below {LOW_ERROR}, on training pairs and on held-out "
        f"ones. {LATER}",
        "Half of the 50 % that the paper calls high. Trimmed, since targets near zero make the plain mean explode.",
        ("value/value.csv",),
    ),
    Rule(
        "V2",
        "They are far, some 50 %, from the true returns.",
        f"Relative error against the discounted return, 5 % trimmed, on held-out pairs: above {LOW_ERROR}, and above "
        f"that against their own target. {LATER}",
        "Half of 50 %, as for V1. The second part is the drop between the two that the paper points at.",
        ("value/value.csv",),
    ),
    Rule(
        "V3",
        "The true value function reduces the variance of gradients far more than the value net.",
        "Pairwise cosine at T pairs with the true value function inside GAE minus that with the value net, on the same "
        "streams: above 0, and above what the value net adds in the same way to the discounted return alone. "
        f"{LATER} Premise: of the variance of held-out returns the fitted function explains more than {GOOD_FIT}, or "
        f"no less than the value net (the difference is above {NO_WORSE}).",
        "Far more, where the value net's own gain is called marginal: at least as much again as the value net brings. "
        "At T, where the paper sees it most. A bad fit of the true value function would say nothing. Returns are true "
        "values and chance, so that a function explains at least as large a share of the values as of the returns: "
        f"above {GOOD_FIT} it is good in itself, and takes out nine tenths of what any function of the state could. "
        "Where chance keeps every function below that, the net is the measure; returns are known to a hundredth. That "
        "the fit explain more than the net, as was asked before, cannot be where the net is good.",
        ("baselines/differences.csv", "true_value/fit.csv"),
    ),
    Rule(
        "V4",
        "The value net reduces it more than no baseline.",
        "Pairwise cosine with the value net inside GAE minus that with the discounted return alone, on the same "
        f"streams, at the most pairs measured: above 0. {LATER}",
        "The paper claims a direction; at T it calls the difference rather small, and so it is looked for where it is "
        "clearest.",
        ("baselines/differences.csv",),
    ),
    Rule(
        "V5",
        "Training without a baseline ends almost an order of magnitude lower.",
        f"Final return without a baseline over that with the value net below {HALF_ORDER:.3f}. Premise: with it, the "
        "return rises from the first iterations to the last.",
        "Half an order of magnitude: nearer to a tenth than to the same, in logarithms.",
        ("train/history.csv", "ablation/history.csv"),
    ),
    Rule(
        "L1",
        "With few trajectories the reward landscape cannot tell good points from bad.",
        f"Share of pairs of grid points whose order is resolved from T pairs a point below {HALF}, on landscapes of "
        f"updates from T pairs, with the errors of points that do not share their noise. {LATER}",
        "Below a half, most points cannot be told from each other. A trainer's policies meet states and action noise "
        "of their own; points that share both are told apart where no trainer could. The paper's low-sample panel has "
        "T = 2,000.",
        ("landscape/resolution.csv",),
    ),
    Rule(
        "L2",
        "With many it is smooth.",
        f"From the most pairs a point, at least {MANY} T: share of resolved pairs of points above {HALF}, and noise in "
        f"the squared differences of neighbours below {HALF}, with errors as for L1. {LATER}",
        "Most points are told apart, and what is left between neighbours is terrain. The paper's panels have 1, 10 and "
        "50 times T.",
        ("landscape/resolution.csv",),
    ),
    Rule(
        "L3",
        "Early in training surrogate and reward align along the step.",
        "Reward after a full update minus that of the snapshot, mean over independent updates and agents, at the first "
        "studied snapshot, in every regime of update_gain.update_pairs: above 0. Premise, in each regime: the update "
        "raises the surrogate on its own batch.",
        "The step that training takes is the full one; beyond it PPO's clipped surrogate falls by construction. Zero "
        "parts gain from loss. The paper sees it in both regimes. At T pairs it is the exact opposite of L4.",
        ("update_gain/snapshots.csv",),
    ),
    Rule(
        "L4",
        "Late in training, with few samples, they do not: the surrogate rises where the reward falls.",
        "The exact opposite of L3, from T pairs, at the last studied snapshot: reward after a full update minus that "
        "of the snapshot, below 0. Premise: the update raises the surrogate on its own batch.",
        "The paper claims a direction. A surface shows one update of one agent; the claim is about updates, and many "
        "decide it.",
        ("update_gain/snapshots.csv",),
    ),
    Rule(
        "L5",
        "TRPO's step from many samples aligns again.",
        "TRPO: as L3, at the last studied snapshot, for updates from the most pairs of update_gain.update_pairs, at "
        f"least {ORDERS} T.",
        "As L3. The paper speaks of several orders of magnitude more samples: two at the least.",
        ("update_gain/snapshots.csv",),
    ),
    Rule(
        "L6",
        "PPO's does not, even then.",
        "PPO: as L4, its premise included, for updates from the most pairs of update_gain.update_pairs, at least "
        f"{ORDERS} T.",
        "The paper sees the step lead to lower reward even in that regime.",
        ("update_gain/snapshots.csv",),
    ),
)

RULES = {rule.id: rule for rule in _RULES}
