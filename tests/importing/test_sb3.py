"""An agent of Stable-Baselines3 acts, values and learns here as it does there."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dpg.agent import snapshot as snapshots
from dpg.agent.acting import Actor
from dpg.agent.score import Score
from dpg.agent.snapshot import MissingPartError, Snapshot
from dpg.importing import sb3
from dpg.learning.batch import Batch, prepare, values
from dpg.learning.update import update_policy
from dpg.learning.value_fit import update_value
from dpg.probes import gradient, update_step, value
from dpg.probes.collection import batch_seeds, fresh_streams
from dpg.runtime.budgets import GradientBudget
from dpg.runtime.seeding import Seed
from tests.importing.agents import ENV, GAMMA, Trained, read, read_folder

KINDS = [("PPO", "Tanh"), ("PPO", "ReLU"), ("PPO", "ELU"), ("TRPO", "Tanh"), ("A2C", "ReLU")]
PAIRS = 200


def raw_pairs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Observations, some of which the normaliser clips, and actions."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((PAIRS, 4)) * [0.5, 0.2, 2.0, 3.0], rng.standard_normal((PAIRS, 1)).astype(np.float32)


def flat(snapshot: Snapshot, net: str, tensors: dict[str, torch.Tensor]) -> np.ndarray:
    """A vector of the laboratory from tensors by the library's names: an independent reading."""
    heads = {"policy": ("policy_net", "action_net"), "value": ("value_net", "value_net")}[net]
    layers = [name for name in tensors if name.startswith(f"mlp_extractor.{heads[0]}") and name.endswith("weight")]
    names = [name.removesuffix(".weight") for name in layers] + [heads[1]]
    pieces = [
        piece.detach().numpy().ravel()
        for name in names
        for piece in (tensors[f"{name}.weight"].T.contiguous(), tensors[f"{name}.bias"])
    ]
    return np.concatenate([*pieces, tensors["log_std"].detach().numpy()] if net == "policy" else pieces)


@pytest.mark.parametrize(("algorithm", "activation"), KINDS)
def test_values_log_probabilities_and_gradients_are_the_librarys_own(train, algorithm, activation):
    """Catches a wrong activation, epsilon or clip, a weight that is not transposed, and a layer out of its order."""
    trained: Trained = train(algorithm, activation)
    found = read_folder(trained.folder)
    obs, action = raw_pairs()
    theirs = torch.as_tensor(trained.envs.normalize_obs(obs), dtype=torch.float32)
    policy: Any = trained.model.policy
    policy.zero_grad()
    predicted, log_prob, _ = policy.evaluate_actions(theirs, torch.as_tensor(action))
    weights = np.random.default_rng(1).standard_normal(PAIRS)
    (log_prob * torch.as_tensor(weights)).sum().backward()

    seen = found.state.normalize_obs(obs[None])
    assert (np.abs(seen) == 3.0).any()
    np.testing.assert_allclose(values(found.state, seen)[0], predicted.detach().numpy()[:, 0], rtol=1e-5, atol=1e-5)
    score = Score.of(found.state.architecture, found.state.policy, seen, action[None])
    np.testing.assert_allclose(score.log_prob[0], log_prob.detach().numpy(), rtol=1e-5, atol=1e-5)
    gradients = {name: each.grad for name, each in policy.named_parameters() if each.grad is not None}
    expected = flat(found, "policy", gradients)
    ours = score.sum(weights[None])[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    mean = policy.get_distribution(theirs).distribution.mean.detach().numpy()
    np.testing.assert_allclose(Actor.of(found.state).act(obs, None), mean, rtol=1e-5, atol=1e-5)


def test_without_a_normaliser_observations_are_left_as_they_are(train):
    trained: Trained = train(normalize=False)
    found = read_folder(trained.folder)
    obs, _ = raw_pairs()
    np.testing.assert_array_equal(found.state.normalize_obs(obs[None])[0], obs.astype(np.float32))
    assert not found.recipe.config.reward_scaling
    assert found.source is not None and "no normaliser of observations" in found.source.assumed


def test_a_normaliser_without_a_clip_clips_nothing(train):
    trained: Trained = train()
    wide = trained.folder / "wide.pkl"
    bound, trained.envs.clip_obs = trained.envs.clip_obs, np.inf
    trained.envs.save(str(wide))
    trained.envs.clip_obs = bound
    assert read(trained.zip, normalizer=wide).state.architecture.obs_clip is None


def test_the_recipe_is_the_models(train):
    found = read_folder(train(learning_rate=2e-4, clip_range=0.13, ent_coef=0.01, n_epochs=3).folder)
    common, config = found.recipe.common, found.recipe.config.model_dump()
    assert (found.recipe.algorithm, found.recipe.num_envs, found.recipe.streams) == ("ppo", 2, "continue")
    assert (common.timesteps, common.gamma, common.gae_lambda, common.time_limit) == (64, GAMMA, 0.95, "bootstrap")
    assert (common.policy_hidden, common.value_hidden, common.clip_actions) == ((16, 8), (12,), True)
    expected = {"lr": 2e-4, "epochs": 3, "minibatches": 4, "clip_eps": 0.13, "entropy_coef": 0.01, "adam_eps": 1e-5}
    assert {name: config[name] for name in expected} == pytest.approx(expected)
    assert (found.iteration, found.recipe.iterations, found.recipe.batch_pairs) == (4, 4, 128)
    assert found.lacks == ()


def test_a_trpo_recipe_is_the_models(train):
    found = read_folder(train("TRPO").folder)
    config = found.recipe.config.model_dump()
    expected = {
        "max_kl": 0.01,
        "cg_steps": 15,
        "cg_damping": 0.1,
        "backtracks": 10,
        "value_lr": 1e-3,
        "value_epochs": 10,
    }
    assert {name: config[name] for name in expected} == pytest.approx(expected)
    assert found.recipe.algorithm == "trpo" and found.lacks == ()


def batch_of(found: Snapshot) -> Batch:
    streams = fresh_streams(found, [Seed(0) / index for index in range(2)])
    return prepare(found.state, streams, found.recipe.common, found.recipe.config)


def librarys_loss(model: Any, batch: Batch, net: str) -> torch.Tensor:
    """What the optimizer of the library minimises, of the whole batch and of one network."""
    if net == "value":
        predicted = model.policy.predict_values(batch.obs[0])[:, 0]
        return (model.vf_coef if type(model).__name__ == "PPO" else 1.0) * torch.nn.functional.mse_loss(
            predicted, batch.value_target[0]
        )
    _, log_prob, _ = model.policy.evaluate_actions(batch.obs[0], batch.action[0])
    advantage = batch.advantage[0]
    advantage = (advantage - advantage.mean()) / (advantage.std(unbiased=False) + 1e-8)
    return -(torch.exp(log_prob - batch.old_log_prob[0]) * advantage).mean()


@pytest.mark.parametrize(("algorithm", "net"), [("PPO", "policy"), ("PPO", "value"), ("TRPO", "value")])
def test_a_step_is_the_one_that_the_librarys_optimizer_takes(train, algorithm, net):
    """One minibatch from the moments in the file: catches moments that are transposed, shuffled or of another sign.

    The moments of PPO's value net are of its loss times a coefficient, which the fit here does not have.
    """
    trained: Trained = train(algorithm, "Tanh")
    found = read_folder(trained.folder)
    once = {"value_epochs": 1, "value_minibatches": 1} if net == "value" else {"epochs": 1, "minibatches": 1}
    config = found.recipe.config.model_copy(update=once)
    found = replace(found, recipe=found.recipe.model_copy(update={"config": config}))
    batch = batch_of(found)
    update = {"policy": update_policy, "value": update_value}[net]
    ours = getattr(update(found.state, batch, found.recipe, [Seed(0)]), net)[0]

    model: Any = type(trained.model).load(trained.zip, device="cpu")
    model.policy.optimizer.zero_grad(set_to_none=True)
    librarys_loss(model, batch, net).backward()
    before = getattr(found.state, net)[0].astype(np.float64)
    model.policy.optimizer.step()
    theirs = flat(found, net, dict(model.policy.state_dict()))
    assert np.abs(theirs - before).max() > 1e-5
    np.testing.assert_allclose(ours - before, theirs - before, atol=0.02 * np.abs(theirs - before).max())


def test_probes_run_on_an_imported_agent(train):
    """A batch is a stream from each of the environments, in updates as in the value fit."""
    found = read_folder(train("PPO", "ReLU").folder)
    (shard,) = update_step.plan([found], 3, seed=0)
    assert shard.num_pairs == (3 * 2 + 1) * 64
    updates = update_step.measure(shard)
    assert updates.policy.shape == (3, found.state.architecture.policy_layout.size)
    assert updates.episodes.shape == (3,)
    rows = value.measure(value.ValueShard(found, 128, seed=0))
    assert {row.split for row in rows} == {"train", "heldout"}
    assert next(row for row in rows if (row.split, row.target) == ("train", "gae")).pairs == 128
    assert len(batch_seeds(found.recipe, Seed(0))) == 2


def test_an_update_of_a2c_is_refused_and_its_gradient_is_not(train):
    found = read_folder(train("A2C", "ReLU").folder)
    with pytest.raises(MissingPartError, match=r"needs .*the settings of the policy update"):
        update_step.plan([found], 3, seed=0)
    budget = GradientBudget(repeats=3, sizes=(64, 128), true_pairs=256)
    assert gradient.plan([found], budget, seed=0)


def test_the_same_files_give_the_same_bytes(train, tmp_path):
    folder = train().folder
    first, second = (snapshots.write(read(folder), tmp_path / f"{name}.safetensors") for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    found = snapshots.load(first)
    assert found.source == read(folder).source
    assert set(found.source.files) == {"model.zip", "vecnormalize.pkl"}


def test_time_limits_are_those_of_the_librarys_version(train, rewritten):
    trained: Trained = train()
    for version, expected in (("1.3.1a1", "terminal"), ("1.3.1a2", "bootstrap"), ("1.0", "terminal")):
        old = rewritten(trained.zip, members={"_stable_baselines3_version": version.encode()})
        assert sb3.read(old, ENV, {}).training.time_limit == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"gamma": 0.9, "gae_lambda": 0.8}, (0.9, 0.8, 64, 2)),
        ({"n_steps": 32, "n_envs": 8}, (GAMMA, 0.95, 32, 8)),
    ],
)
def test_what_is_given_overrides_the_file_and_is_said(train, change, expected):
    found = read(train().folder, **change)
    common = found.recipe.common
    assert (common.gamma, common.gae_lambda, common.timesteps, found.recipe.num_envs) == expected
    assert found.source is not None and any("as given" in line for line in found.source.assumed)
