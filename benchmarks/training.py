"""Training speed, against Stable-Baselines3 with the same settings and against raw `mj_step`.

Every core trains a group of agents as the pipeline does, one iteration per run, and one agent of the peer in a
single-threaded process, the usual way to train several. Both start at their second iteration: environments, networks
and the first iteration are set up before timing begins.

The peer's settings follow from the recipe. Where Stable-Baselines3 lacks a setting, it gets the lighter work: TRPO uses
its subsample of states for the surrogate and the line search too, not only for the Fisher matrix; PPO has one Adam step
for both networks. Its gradients are not clipped, but it still computes their norm.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.agents import recipe
from benchmarks.harness import Cores, Row, Skipped
from benchmarks.machine import lacking
from benchmarks.peers import RawReplay, recordings
from dpg.agent.acting import Actor
from dpg.agent.population import Population
from dpg.agent.recipe import Recipe
from dpg.algorithms.ppo import PPOConfig
from dpg.algorithms.trpo import TRPOConfig
from dpg.envs.make import make_vector
from dpg.learning.campaign import Group, TrainingShard, run_shard
from dpg.runtime.seeding import Seed
from dpg.streams.rollout import collect

AGENTS_PER_CORE = 4
# Targets: the ratios to Stable-Baselines3, and of PPO to raw mj_step.
OVER_PEER: dict[tuple[str, str], float] = {
    ("Hopper-v4", "ppo"): 7.0,
    ("Hopper-v4", "trpo"): 4.0,
    ("Humanoid-v4", "ppo"): 2.5,
    ("Humanoid-v4", "trpo"): 2.5,
}
OVER_RAW = 0.6
RAW, PEER, ALONE = "raw mj_step", "stable-baselines3", "one agent at a time"


@dataclass(frozen=True)
class TrainingCase:
    """One task and algorithm; `with_peer` if Stable-Baselines3 is installed; `apart` for agents one at a time."""

    env_id: str
    algorithm: str
    with_peer: bool
    apart: bool

    @property
    def names(self) -> list[str]:
        """The contenders."""
        optional = ((PEER, self.with_peer), (RAW, self.algorithm == "ppo"), (ALONE, self.apart))
        return ["ours", *(name for name, wanted in optional if wanted)]

    def contenders(self, core: int) -> dict[str, Callable[[], int]]:
        """One iteration of `ours`, together and alone, and of the peer; the physics of one iteration of `ours`."""
        settings = recipe(self.env_id, self.algorithm)
        group = Group(settings, tuple(range(core * AGENTS_PER_CORE, (core + 1) * AGENTS_PER_CORE)))
        ours = _Ours(group)
        alone = [_Ours(member) for member in group.members()] if self.apart else []
        makers: dict[str, Callable[[], Callable[[], int]]] = {
            "ours": lambda: ours.run,
            PEER: lambda: StableBaselines(settings, core).run,
            RAW: lambda: _physics(group, ours.population),
            ALONE: lambda: lambda: sum(member.run() for member in alone),
        }
        return {name: makers[name]() for name in self.names}


def measure(cores: Cores, *, quick: bool) -> Iterator[Row | Skipped]:
    """PPO and TRPO on Hopper and Humanoid, on all cores."""
    reason = lacking("stable_baselines3", "sb3_contrib")
    for (env_id, algorithm), target in OVER_PEER.items():
        apart = algorithm == "ppo" and not (quick and env_id == "Humanoid-v4")
        case = TrainingCase(env_id, algorithm, reason is None, apart)
        where = "1 core" if cores.count == 1 else f"{cores.count} cores"
        name = f"training, {algorithm}, {env_id}, {cores.count * AGENTS_PER_CORE} agents, {where}"
        race = cores.race(case, case.names, 2 if quick else 7, cores.count) if len(case.names) > 1 else None
        if race and case.with_peer:
            yield race.row(f"{name} / SB3", "ours", PEER, target)
        elif reason:
            yield Skipped(f"{name} / SB3", reason)
        if race and RAW in case.names:
            yield race.row(f"{name} / raw mj_step", "ours", RAW, OVER_RAW)
        if race and case.apart:
            yield race.row(f"{name}, {AGENTS_PER_CORE} together / {ALONE}", "ours", ALONE, None)


class _Ours:
    """A group that continues its training, by the function that runs the pipeline's shards."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self.population = run_shard(TrainingShard(group, None, 0)).population

    def run(self) -> int:
        shard = TrainingShard(self._group, self.population, self.population.iteration + 1)
        self.population = run_shard(shard).population
        return shard.num_pairs


def _physics(group: Group, population: Population) -> Callable[[], int]:
    """Raw `mj_step` over the streams of the untrained group's first iteration."""
    common = group.recipe.common
    seeds = [Seed(0) / "benchmark" / agent for agent in group.agents]
    envs = make_vector(group.recipe.env_id, population.size)
    streams = collect(Actor.of(population), envs, seeds, common.timesteps, clip_actions=True)
    envs.close()
    return RawReplay(group.recipe.env_id, recordings(seeds, streams)).run


class StableBaselines:
    """One agent of Stable-Baselines3 (PPO) or sb3-contrib (TRPO), with a recipe's settings.

    Raises:
        ValueError: the recipe has settings that the peer lacks.
    """

    def __init__(self, settings: Recipe, seed: int) -> None:
        # Imported here: without the peers, everything else is still measured.
        from stable_baselines3.common.env_util import make_vec_env
        from stable_baselines3.common.vec_env import VecNormalize

        common, algorithm = settings.common, settings.config
        self._pairs = common.timesteps
        self._model: Any = None
        unbounded = float("inf")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # "-v4 is out of date"
            warnings.simplefilter("ignore", UserWarning)  # the last minibatch is smaller, as ours is
            envs = VecNormalize(
                make_vec_env(settings.env_id, 1, seed=seed, env_kwargs={"disable_env_checker": True}),
                norm_reward=algorithm.reward_scaling,
                clip_obs=algorithm.obs_clip or unbounded,
                clip_reward=algorithm.reward_clip or unbounded,
                gamma=common.gamma,
            )
            make = _trpo if isinstance(algorithm, TRPOConfig) else _ppo
            self._model = make(algorithm, envs, self._rate(settings), _shared(settings) | {"seed": seed})

    def run(self) -> int:
        """One iteration."""
        self._model.learn(self._pairs, reset_num_timesteps=False)
        return self._pairs

    def _rate(self, settings: Recipe) -> Callable[[float], float]:
        """The learning rate from the pairs seen, since `learn` treats each call as a whole training."""
        algorithm = settings.config
        base = algorithm.lr if isinstance(algorithm, PPOConfig) else algorithm.value_lr
        total = settings.iterations * settings.common.timesteps
        if not algorithm.anneal:
            return lambda _: base
        return lambda _: base * (1 - (self._model.num_timesteps if self._model else 0) / total)


def _shared(settings: Recipe) -> dict[str, Any]:
    """The settings that PPO and TRPO share, under the peer's names."""
    common, algorithm = settings.common, settings.config
    return {
        "n_steps": common.timesteps,
        "gamma": common.gamma,
        "gae_lambda": common.gae_lambda,
        # The same number of minibatches, the last one smaller.
        "batch_size": math.ceil(common.timesteps / algorithm.value_minibatches),
        "policy_kwargs": {
            "net_arch": {"pi": list(common.policy_hidden), "vf": list(common.value_hidden)},
            "activation_fn": torch.nn.Tanh,
            "ortho_init": algorithm.init == "orthogonal",
            "optimizer_kwargs": {"eps": algorithm.adam_eps},
        },
        "device": "cpu",
    }


def _ppo(config: PPOConfig, envs: Any, rate: Callable[[float], float], shared: dict[str, Any]) -> Any:
    import stable_baselines3

    same = (config.epochs, config.minibatches, config.lr) == (
        config.value_epochs,
        config.value_minibatches,
        config.value_lr,
    )
    if not same:
        raise ValueError("Stable-Baselines3's PPO trains both networks at once: params.yaml must have them alike")
    return stable_baselines3.PPO(
        "MlpPolicy",
        envs,
        learning_rate=rate,
        n_epochs=config.epochs,
        clip_range=config.clip_eps,
        clip_range_vf=config.value_clip,
        ent_coef=config.entropy_coef,
        max_grad_norm=float("inf"),
        **shared,
    )


def _trpo(config: TRPOConfig, envs: Any, rate: Callable[[float], float], shared: dict[str, Any]) -> Any:
    import sb3_contrib

    return sb3_contrib.TRPO(
        "MlpPolicy",
        envs,
        learning_rate=rate,
        cg_max_steps=config.cg_steps,
        cg_damping=config.cg_damping,
        line_search_shrinking_factor=0.5,
        line_search_max_iter=config.backtracks,
        n_critic_updates=config.value_epochs,
        target_kl=config.max_kl,
        sub_sampling_factor=round(1 / config.fisher_fraction),
        **shared,
    )
