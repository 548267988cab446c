"""Write an agent so that `dpg import` can read it. Copy this file into any code: it needs NumPy and safetensors alone.

    from export_agent import export_agent, layers_of

    export_agent(
        "my_agent",
        env="Hopper-v4",
        policy=layers_of(actor),        # of a torch.nn.Sequential; or a list of (weight, bias), weights (in, out)
        log_std=actor_logstd,           # one number for each action
        value=layers_of(critic),
        obs_mean=rms.mean, obs_std=np.sqrt(rms.var + 1e-8), obs_clip=10.0,
        gamma=0.99, gae_lambda=0.95, timesteps=2048, num_envs=1,
    )

writes my_agent.safetensors and my_agent.json. docs/importing.md in the laboratory's documentation lists the keys.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

Layers = list[tuple[Any, Any]]


def export_agent(
    path: str | Path,
    *,
    env: str,
    policy: Layers,
    log_std: Any,
    value: Layers | None = None,
    activation: str = "tanh",
    obs_mean: Any = None,
    obs_std: Any = None,
    obs_clip: float | None = None,
    return_std: float | None = None,
    **about: Any,
) -> None:
    """Write `path` with the suffixes .safetensors and .json.

    `obs_std` is what observations are divided by, and `return_std` what rewards were divided by for the value net. Of
    `about`, gamma, gae_lambda and timesteps (the pairs of a batch from each environment) are needed; num_envs, streams,
    time_limit, reward_clip, clip_actions, algorithm, library, version and pairs may be given.
    """
    arrays: dict[str, Any] = {"log_std": np.ravel(log_std)}
    for prefix, layers in (("", policy), ("value_", value or [])):
        for index, (weight, bias) in enumerate(layers):
            arrays |= {f"{prefix}w{index}": weight, f"{prefix}b{index}": bias}
    statistics = {"obs_mean": obs_mean, "obs_std": obs_std, "return_std": return_std}
    arrays |= {name: np.ravel(array) for name, array in statistics.items() if array is not None}
    kinds = {name: np.float64 if name.startswith(("obs_", "return_")) else np.float32 for name in arrays}
    unit = None if value is None else "raw" if return_std is None else "scaled"
    description = {"format": 2, "env": env, "activation": activation, "obs_clip": obs_clip, "value_unit": unit, **about}
    path = Path(path)
    if path.suffix not in {".safetensors", ".json"}:  # a name may have a dot: run-0.99
        path = path.with_name(f"{path.name}.safetensors")
    contents = {name: np.array(array, kinds[name], order="C") for name, array in arrays.items()}
    save_file(contents, path.with_suffix(".safetensors"))
    path.with_suffix(".json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def layers_of(network: Any) -> Layers:
    """The linear layers of a torch.nn.Sequential, as arrays."""
    linear = [module for module in network if hasattr(module, "weight")]
    return [(module.weight.detach().cpu().numpy().T, module.bias.detach().cpu().numpy()) for module in linear]
