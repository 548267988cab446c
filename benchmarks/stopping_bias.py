"""How far stopping at a target error moves the means of a landscape: `python -m benchmarks.stopping_bias`.

On `LinearQuadratic-v0`, for the snapshot and one policy far from it. The returns of many episodes of both come from the
task's own equations, hence all at once; their expectations are known in closed form, and the differences have a
skewness of about -1.25. The table in docs/landscapes.md is what this prints.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from dpg.agent.snapshot import Snapshot
from dpg.envs.linear_quadratic import EPISODE_STEPS, TASK
from dpg.probes import landscape, landscape_plan
from dpg.probes.known_answers import closed_forms
from dpg.probes.known_answers.agents import known_agent, linear_policy
from dpg.probes.known_answers.closed_forms import ClosedLoop, LinearPolicy
from dpg.probes.landscape import Grid, Plane, RewardShard
from dpg.probes.landscape_plan import EvaluationMeans, LandscapeSpec
from dpg.streams.episodes import Episodes

NEEDED, MOST = 50, 160  # episodes that meet the target error, more or less, and the most that a point gets
FIRST_ROUNDS = (2, 8, 16, 32, 64)


@dataclass(frozen=True)
class Case:
    """The snapshot (`before` is its expected return) and a policy whose expected return differs from that by `truth`.

    `returns` are of episodes of both, with common random numbers; `target` is the error at which a point stops, `most`
    the most episodes that it gets.
    """

    snapshot: Snapshot
    spec: LandscapeSpec
    returns: Float[np.ndarray, "2 N"]
    before: float
    truth: float
    target: float
    most: int

    def landscapes(self, samples: Iterable[Float[np.ndarray, "2 M"]]) -> Iterator[landscape_plan.Landscape]:
        """A landscape for each sample of the returns, which has the most episodes of a point."""
        plane = Plane(np.zeros(1), np.zeros(1), 1, np.zeros(2))
        evaluated = EvaluationMeans(float(EPISODE_STEPS), self.before)
        for own in samples:

            def run(shards: list[RewardShard], _: str, own: np.ndarray = own) -> Iterator[Episodes]:
                for part in shards:
                    some = own[part.indices, part.first_episode : part.first_episode + part.episodes_per_point]
                    yield Episodes(some, np.full(some.shape, EPISODE_STEPS))

            shards = landscape_plan.plan_planes(self.spec, [self.snapshot])
            yield from landscape_plan.measure(landscape_plan.plan_rewards(self.spec, shards, [plane], [evaluated]), run)

    def errors(self, samples: Iterable[Float[np.ndarray, "2 M"]]) -> Float[np.ndarray, " L"]:
        """How far the difference in each landscape is from the truth, in units of the target error."""
        found = [one.reward[1] - one.reward[0] for one in self.landscapes(samples)]
        return (np.array(found) - self.truth) / self.target


def make(episodes: int, needed: int = NEEDED) -> Case:
    """The case with this many episodes of either policy, for a target error that `needed` of them meet."""
    agent = known_agent("value net", 10)
    step = np.resize([0.66, -0.44, 0.22, 0.33], agent.snapshot.state.policy.shape[1])
    grid = Grid((0.0, 1.0), (0.0, 0.0), (2, 1))
    policies = [
        linear_policy(agent.snapshot.state, theta)
        for theta in landscape.policies(agent.snapshot, grid.points, step, 0 * step)
    ]
    returns = np.stack([episode_returns(policy, episodes) for policy in policies])
    before, after = (closed_forms.episode_return(ClosedLoop(TASK, policy), EPISODE_STEPS) for policy in policies)
    target = float((returns[1] - returns[0]).std() / needed**0.5)
    most = needed * MOST // NEEDED
    budgets = (most * EPISODE_STEPS,)
    spec = LandscapeSpec(grid, (10,), budgets, 1.0, True, 0, target_error=target / abs(before))
    return Case(agent.snapshot, spec, returns, before, after - before, target, most)


def episode_returns(policy: LinearPolicy, episodes: int) -> Float[np.ndarray, " N"]:
    """Of whole episodes, with the same noise for every policy."""
    rng = np.random.default_rng(0)

    def noise(size: int) -> np.ndarray:
        return rng.standard_normal((episodes, size))

    num_actions, num_states = TASK.control.shape[::-1]
    state, total = TASK.initial_state(noise(num_states)), np.zeros(episodes)
    for _ in range(EPISODE_STEPS):
        action = state @ policy.mean[:, :-1].T + policy.mean[:, -1] + np.exp(policy.log_std) * noise(num_actions)
        total += TASK.reward(state, action)
        state = TASK.next_state(state, action, noise(num_states))
    return total


def row(case: Case, first: int, landscapes: int) -> dict[str, float]:
    """What landscapes come to whose first round has this many episodes; each draws its episodes with replacement."""
    rng = np.random.default_rng(1)
    draws = (rng.integers(case.returns.shape[1], size=case.most) for _ in range(landscapes))
    with patch.multiple(landscape_plan, FIRST_ROUND=first, BATCH=min(first, landscape_plan.BATCH)):
        found = list(case.landscapes(case.returns[:, draw] for draw in draws))
    errors = np.array([one.reward[1] - one.reward[0] for one in found]) - case.truth
    counts = np.array([one.counts()[1] for one in found])
    half = stats.t.ppf(0.975, counts - 1) * np.array([one.difference_errors[1] for one in found])
    return {
        "first round": first,
        "bias": errors.mean() / case.target,
        "root mean square error": np.sqrt((errors**2).mean()) / case.target,
        "coverage, %": 100 * (np.abs(errors) <= half).mean(),
        "mean number of episodes": counts.mean(),
    }


def main() -> None:
    """Print the table: errors are in units of the target error, and the coverage is of the 95 % t interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--landscapes", type=int, default=6_000)
    parser.add_argument("--episodes", type=int, default=120_000)
    parser.add_argument("--needed", type=int, default=NEEDED, help="episodes that meet the target error")
    arguments = parser.parse_args()
    case = make(arguments.episodes, arguments.needed)
    differences = case.returns[1] - case.returns[0]
    print(f"skewness of the differences: {stats.skew(differences):.2f}")
    print(
        pd.DataFrame([row(case, first, arguments.landscapes) for first in FIRST_ROUNDS]).round(3).to_string(index=False)
    )


if __name__ == "__main__":
    main()
