"""Tables of training: `train`, `ablation` and `regimes`."""

from dataclasses import dataclass
from typing import Annotated

from dpg.tables.table import Cell, Section, TableScope, table


@dataclass(frozen=True)
class IterationRecord:
    """One iteration of one agent's training."""

    agent: Annotated[int, "-", "which of the agents (seeds), from 0"]
    iteration: Annotated[int, "-", "of the training, from 0"]
    pairs: Annotated[int, "pairs", "collected by the agent so far, this iteration's included"]
    mean_return: Annotated[float, "reward", "mean return of the episodes that ended in the batch; blank if none did"]
    mean_length: Annotated[float, "pairs", "mean length of these episodes; blank if there are none"]
    num_episodes: Annotated[int, "episodes", "that ended in the batch"]
    objective: Annotated[float, "-", "what the algorithm maximises, on the batch, after the update"]
    kl: Annotated[float, "nats", "mean KL(old policy ‖ new policy) over the batch"]
    entropy: Annotated[float, "nats", "of the new policy, the same in every state"]
    value_loss: Annotated[float, "scaled reward²", "mean (V - target)² on the batch, after the value fit"]
    explained_variance: Annotated[float, "-", "1 - var(V - target) / var(target), likewise"]


@table("train/history.csv", Section.REWARDS, per="agent and iteration")
class History(IterationRecord, Cell):
    """The training of the agents that everything else is measured on."""


@table("ablation/history.csv", Section.VALUES, per="agent and iteration, without a baseline")
class AblationHistory(IterationRecord, Cell):
    """Agents trained with b = 0 on the same budget and seeds as those of `train/history.csv`.

    Their advantage is the discounted return of what was recorded. Nothing fits or uses their value net.
    """


@dataclass(frozen=True)
class Regime(Cell):
    """The columns that name one sample size and learning rate."""

    timesteps: Annotated[int, "pairs", "T, collected in an iteration"]
    lr: Annotated[float, "-", "the policy's learning rate, at the first iteration where rates are annealed"]


@table(
    "regimes/history.csv",
    Section.GRADIENTS,
    per="sample size, learning rate, agent and iteration",
    scope=TableScope.TASK,
)
class RegimeHistory(IterationRecord, Regime):
    """Agents trained on the same total of pairs for every sample size and learning rate.

    Agents with the same number and sample size start from the same networks at every rate.
    """
