"""Checks of values: discounted returns, the value probe, and Monte Carlo estimates at states."""

import numpy as np
from jaxtyping import Float

from dpg.agent.acting import Actor
from dpg.agent.snapshot import Snapshot
from dpg.envs.linear_quadratic import EPISODE_STEPS
from dpg.envs.make import make_vector
from dpg.probes import state_rollouts, value
from dpg.probes.known_answers import closed_forms, forms
from dpg.probes.known_answers.agents import GAMMA, LONG, KnownAgent, known_agent, value_net
from dpg.probes.known_answers.verdicts import broken, scalar_check
from dpg.runtime.seeding import Seed
from dpg.streams import advantages
from dpg.streams.burn_in import Start
from dpg.streams.rollout import Streams, collect
from dpg.tables.calibrate import Check

STATES = ((0.0, 0.0, 0.0), (2.0, -1.0, 1.0), (-1.5, 2.0, -2.0))


def return_checks(seed: int, streams: int) -> list[Check]:
    """Discounted returns from fixed states, against V there; V bootstraps the sum after 60 steps."""
    agent = known_agent("true value function", LONG)
    checks: list[Check] = []
    for index, state in enumerate(STATES):
        found = streams_from(agent, np.array(state), streams // 8, 60, Seed(seed) / "returns" / index)
        after_end = np.zeros_like(found.reward)
        after_end[:, -1] = forms.evaluate(agent.value, found.end_obs)
        truth = float(forms.evaluate(agent.value, np.array(state)[None])[0])
        name = f"discounted return from state {index}"
        right, wrong = (
            advantages.discounted_return(found.reward, found.done, after_end, gamma)[:, 0] for gamma in (GAMMA, 1.0)
        )
        checks += [scalar_check(name, truth, right), broken(scalar_check(f"{name}, gamma dropped", truth, wrong))]
    return checks


def streams_from(
    agent: KnownAgent, state: Float[np.ndarray, " O"], num_streams: int, num_pairs: int, seed: Seed
) -> Streams:
    """Streams that all start from one state."""
    envs = make_vector(agent.snapshot.recipe.env_id, num_streams)
    # A number n seeds the environments with n, n + 1, ...
    obs, _ = envs.reset(seed=(seed / "env").integer(), options={"state": np.tile(state, (num_streams, 1))})
    seeds = [seed / f"stream={index}" for index in range(num_streams)]
    begun = Start(obs, np.zeros(num_streams, np.int64))
    return collect(Actor.of(agent.snapshot.state), envs, seeds, num_pairs, clip_actions=False, start=begun)


def value_checks(seed: int, streams: int) -> list[Check]:
    """The value probe's explained variance of the value net against discounted returns, on held-out streams.

    The net does not learn, so that V is known. The probe scores the pairs with a known return; broken is to score all
    pairs.
    """
    agent = known_agent("value net", EPISODE_STEPS)
    predicted = value_net(agent.snapshot.state)
    horizon = advantages.horizon(GAMMA)
    # The probe records H pairs more than it scores: the start of a second episode.
    known, everything = (
        closed_forms.explained_variance(agent.loop, predicted, GAMMA, [(EPISODE_STEPS, count)])
        for count in (EPISODE_STEPS - horizon, EPISODE_STEPS)
    )
    found = np.array([_explained_variance(agent, streams // 256, Seed(seed) / "value" / index) for index in range(48)])
    name = "explained variance of returns"
    return [
        scalar_check(name, known, found),
        broken(scalar_check(f"{name}, unknown ones counted", everything, found)),
    ]


def _explained_variance(agent: KnownAgent, streams: int, seed: Seed) -> float:
    """From the value probe: the net against the returns of held-out streams."""
    rows = value.measure(value.ValueShard(agent.snapshot, streams * agent.timesteps, seed.integer()))
    (found,) = [row.explained_variance for row in rows if (row.split, row.target) == ("heldout", "returns")]
    return found


def state_checks(seed: int, streams: int) -> list[Check]:
    """Rollouts from states, against the expected return of as many pairs, state by state.

    Broken is to end rollouts at time limits: states late in their episodes then lose the rest of the return.
    """
    agent = known_agent("value net", LONG)
    steps = 1 + advantages.horizon(GAMMA)
    zero = forms.constant(0.0, 3)
    expected = agent.loop.over_actions(closed_forms.advantages(agent.loop, zero, GAMMA, 1.0, steps)[-1])
    moments = agent.snapshot.state.obs_moments

    def check(title: str, snapshot: Snapshot) -> Check:
        found = state_rollouts.measure(state_rollouts.RolloutShard(snapshot, streams // 36, 8, seed))
        truth = forms.evaluate(expected, found.obs * moments.std + moments.mean)
        # States are drawn: the mean of their true values is the truth.
        gap = found.return_.mean(axis=1) - truth
        return scalar_check(f"mean value at states, by rollouts{title}", float(truth.mean()), gap + truth.mean())

    return [
        check("", agent.snapshot),
        broken(check(", time limits taken for ends", agent.snapshot.with_common(time_limit="terminal"))),
    ]
