"""The speed of updates, against their own matrix products and tanh, as PyTorch computes them.

Both do an iteration's epochs over minibatches of the same sizes. What an update adds is its element-wise arithmetic,
sums, shuffles, Adam and the calls themselves; what it saves is PyTorch's tanh, in whose place it has NumPy's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.agents import recipe
from benchmarks.harness import Cores, Row
from dpg.agent.acting import Actor
from dpg.agent.networks import Arrays
from dpg.envs.make import make_vector
from dpg.learning.batch import prepare
from dpg.learning.campaign import Group, TrainingShard, run_shard
from dpg.learning.update import update_policy
from dpg.learning.value_fit import update_value
from dpg.streams.rollout import collect

ENV_IDS = ("Hopper-v4", "Humanoid-v4")
AGENTS = 4
OVER_FLOOR = 1 / 1.5  # target: at most 1.5 times as long
FLOOR = "products and tanh in PyTorch"


@dataclass(frozen=True)
class UpdateCase:
    """PPO's two updates on one task, of a group of agents in their second iteration."""

    env_id: str

    def contenders(self, core: int) -> dict[str, Callable[[], int]]:
        """The `policy` update and the `value` fit, and the floor of each."""
        del core
        settings = recipe(self.env_id, "ppo")
        agents, config = tuple(range(AGENTS)), settings.config
        state = run_shard(TrainingShard(Group(settings, agents), None, 1)).population
        seeds = [settings.iteration_seed(agent, 1) for agent in agents]
        envs = make_vector(self.env_id, AGENTS)
        streams = collect(
            Actor.of(state), envs, [seed / "batch" for seed in seeds], settings.common.timesteps, clip_actions=True
        )
        envs.close()
        batch = prepare(state, streams, settings.common, config)
        layouts = state.architecture.policy_layout, state.architecture.value_layout
        policy, value = (
            {name: array.contiguous() for name, array in layout.unflatten(torch.from_numpy(vectors)).items()}
            for layout, vectors in zip(layouts, (state.policy, state.value), strict=True)
        )

        def timed(run: Callable[[], object], epochs: int) -> Callable[[], int]:
            def pairs() -> int:
                run()
                return epochs * batch.advantage.numel()

            return pairs

        def floor(arrays: Arrays, epochs: int, minibatches: int) -> Callable[[], int]:
            parts = [part.contiguous() for part in batch.obs.tensor_split(minibatches, dim=1)]
            return timed(lambda: [products_and_tanh(arrays, obs) for _ in range(epochs) for obs in parts], epochs)

        return {
            "policy": timed(lambda: update_policy(state, batch, settings, seeds), config.epochs),
            f"policy, {FLOOR}": floor(policy, config.epochs, config.minibatches),
            "value": timed(lambda: update_value(state, batch, settings, seeds), config.value_epochs),
            f"value, {FLOOR}": floor(value, config.value_epochs, config.value_minibatches),
        }


@torch.inference_mode()
def products_and_tanh(arrays: Arrays, obs: Tensor) -> None:
    """The forward and the backward pass of a network, without what lies between the products."""
    depth = sum(name.startswith("w") for name in arrays)
    inputs = [obs]
    for index in range(depth):
        output = torch.baddbmm(arrays[f"b{index}"][:, None], inputs[index], arrays[f"w{index}"])
        inputs.append(output.tanh_() if index < depth - 1 else output)
    error = inputs.pop()
    for index in reversed(range(depth)):
        torch.bmm(inputs[index].mT, error)
        if index > 0:
            error = torch.bmm(error, arrays[f"w{index}"].mT)


def measure(cores: Cores, *, quick: bool) -> Iterator[Row]:
    """PPO's policy update and value fit on one core, on Hopper and Humanoid."""
    for env_id in ENV_IDS:
        names = [each for kind in ("policy", "value") for each in (kind, f"{kind}, {FLOOR}")]
        race = cores.race(UpdateCase(env_id), names, 2 if quick else 7)
        for kind in ("policy", "value"):
            name = f"update, ppo, {env_id}, {kind}, {AGENTS} agents, 1 core / its {FLOOR}"
            yield race.row(name, kind, f"{kind}, {FLOOR}", OVER_FLOOR)
