"""PPO-M, the paper's minimal PPO: PPO whose block has the extras switched off."""

from dataclasses import replace

from dpg.algorithms import ppo

ALGORITHM = replace(
    ppo.ALGORITHM, name="ppo_m", label="PPO-M", color="#DDAA33", marker="s", dashes=(5.0, 1.2, 1.2, 1.2)
)
