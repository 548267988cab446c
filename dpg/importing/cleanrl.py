"""State dictionaries of CleanRL's agents for continuous actions: tensors alone, without settings or normalisers.

CleanRL normalises with Gymnasium's wrappers, whose statistics are not in the file: they are given as an .npz with
`mean`, `var` and, where rewards were scaled, `ret_var`.
"""

import re
from pathlib import Path

from dpg.agent.source import Source
from dpg.importing import archive
from dpg.importing.agent import UPDATE_PARTS, ForeignAgent, Training, check_networks, numbered, torch_network
from dpg.importing.errors import AgentImportError

SUFFIXES = (".cleanrl_model", ".pt", ".pth")
WITHOUT_NORMALIZER = (
    "the statistics of its normaliser are not in the file: save those of the wrappers with "
    "np.savez('normaliser.npz', mean=..., var=..., count=..., ret_var=...) and give --vecnormalize normaliser.npz, "
    "or say --no-normaliser"
)
# What ppo_continuous_action.py has by default. It treats time limits as ends of episodes.
TRAINING = Training(timesteps=2048, num_envs=1, gamma=0.99, gae_lambda=0.95, time_limit="terminal")
TENSOR = re.compile(r"(critic|actor_mean)\.\d+\.(weight|bias)|actor_logstd")


def read(path: Path, env_id: str) -> ForeignAgent:
    """The agent in a state dictionary.

    Raises:
        UnsafeFileError: it names code.
        AgentImportError: it is no such agent.
    """
    content = archive.read(path)
    found = archive.tensors(content, str(path))
    if foreign := sorted(str(name) for name in found if not TENSOR.fullmatch(str(name))):
        raise AgentImportError(
            f"{path}: tensors {', '.join(foreign[:3])}{', ...' if len(foreign) > 3 else ''}; actor_mean.*, "
            "actor_logstd and critic.* are expected, as of ppo_continuous_action.py"
        )
    arrays = archive.weights(found, str(path))
    if "actor_logstd" not in arrays:
        raise AgentImportError(f"{path}: no actor_logstd; a Gaussian policy is expected")
    policy, value = (torch_network(arrays, numbered(arrays, name)) for name in ("actor_mean", "critic"))
    policy |= {"log_std": arrays["actor_logstd"].reshape(-1)}
    check_networks(policy, value, str(path))
    return ForeignAgent(
        source=Source(
            files={path.name: archive.sha256(content)},
            library="CleanRL",
            version="",
            algorithm="PPO",
            assumed=(
                "activation tanh, 2,048 pairs a batch, gamma 0.99, lambda 0.95: CleanRL's defaults where not given",
                "time limits end episodes, as in CleanRL",
            ),
        ),
        env_id=env_id,
        policy=policy,
        value=value,
        activation="tanh",
        rewards_scaled=True,
        training=TRAINING,
        lacks=UPDATE_PARTS,
        without_normalizer=WITHOUT_NORMALIZER,
    )
