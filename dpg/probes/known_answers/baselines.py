"""Checks of the comparison of baselines."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from dpg.probes import baselines
from dpg.probes.known_answers import closed_forms, forms
from dpg.probes.known_answers.agents import GAMMA, SHORT, KnownAgent, known_agent, tangent, value_net
from dpg.probes.known_answers.gradients import SETS_POOLED, STREAMS_PER_SET
from dpg.probes.known_answers.noise import expected_cosines
from dpg.probes.known_answers.verdicts import broken, predicted_check
from dpg.runtime.budgets import BaselinesBudget
from dpg.tables.calibrate import Check


def baseline_checks(seed: int, streams: int) -> list[Check]:
    """Mean cosines of estimates with each other, for every baseline and form of the advantage, from the same streams.

    V* is replaced by the tangent plane of V, which is a net, too, and better than the agent's. Broken is to use the
    weights of another baseline.
    """
    agent = known_agent("value net", SHORT)
    state = agent.snapshot.state
    vector = tangent(state, closed_forms.value_function(agent.loop, GAMMA), agent.loop.initial.mean)
    pairs = SETS_POOLED[0] * STREAMS_PER_SET * SHORT
    budget = BaselinesBudget(repeats=streams // 512, sizes=(pairs,))
    shards = baselines.plan([agent.snapshot], [vector], budget, seed)
    (found,) = baselines.gather(shards, map(baselines.measure, shards))
    expected = {
        variant: expected_cosines(each.noise(), pairs // SHORT, budget.repeats)
        for variant, each in baseline_agents(agent, vector).items()
    }
    distinct_pairs = np.triu_indices(budget.repeats, 1)
    among = {variant: float(cosines[0][distinct_pairs].mean()) for variant, cosines in found.cosines.items()}

    def check(title: str, predicted: tuple[str, str], measured: tuple[str, str]) -> Check:
        truth = expected[predicted]
        name = f"cosine with each other, {pairs} pairs, {title}"
        return predicted_check(name, truth.among, truth.among_std, among[measured])

    names = {"gae": "in GAE", "returns": "off returns"}
    return [
        *(check(f"{b} {names[way]}", (b, way), (b, way)) for b, way in baselines.VARIANTS),
        broken(check("zero's weights in GAE", ("true value", "gae"), ("zero", "gae"))),
        broken(check("the net's off returns", ("true value", "returns"), ("value net", "returns"))),
    ]


def baseline_agents(agent: KnownAgent, vector: Float[np.ndarray, " D"]) -> dict[tuple[str, str], KnownAgent]:
    """The agents whose gradients the probe estimates, by baseline and form, if V* is the net of `vector`."""
    better = value_net(replace(agent.snapshot.state, value=vector[None]))
    zero = forms.constant(0.0, 3)
    values = {"true value": better, "value net": agent.value, "zero": zero}
    without = known_agent("none", agent.timesteps)
    in_gae = {name: without if name == "zero" else replace(agent, value=form) for name, form in values.items()}
    return {
        (name, way): in_gae[name] if way == "gae" else replace(agent, value=better, baseline=values[name])
        for name, way in baselines.VARIANTS
    }
