"""A diagnosis: measure within the time asked for, then hold what was measured against every check's rule."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from dpg.agent.snapshot import Snapshot
from dpg.diagnose import budget
from dpg.diagnose.catalog import CHECKS
from dpg.diagnose.checks import gradients
from dpg.diagnose.evidence import Evidence, UnmeasuredError
from dpg.diagnose.findings import Check, Finding, Status
from dpg.diagnose.measurements import (
    BatchShard,
    ReturnShard,
    StateShard,
    StateValues,
    StreamResults,
    measure_episodes,
    measure_states,
    measure_streams,
)
from dpg.diagnose.parts import lacking
from dpg.diagnose.plan import FEWEST_ROLLOUTS, FEWEST_STATES, DiagnosisPlan, Tier, blocks
from dpg.diagnose.records import records_around
from dpg.probes import true_value, update_gain
from dpg.probes.collection import joined
from dpg.runtime.local_workers import num_jobs
from dpg.runtime.shards import ExecutionContext, open_context, run_shards
from dpg.streams.episodes import Episodes

NUM_PAIRS = attrgetter("num_pairs")
NOTHING_FOUND = "Nothing found is not health: these checks look for known faults, at the sizes stated, and no others."


@dataclass(frozen=True)
class Diagnosis:
    """The findings of one agent, in the catalog's order, with what they rest on."""

    evidence: Evidence
    findings: tuple[Finding, ...]
    source: str

    def count(self, status: Status) -> int:
        """Findings of a status."""
        return sum(finding.status is status for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For `findings.json`: nothing in it depends on the clock but the tier that it names."""
        plan, snapshot = self.evidence.plan, self.evidence.snapshot
        return {
            "agent": str(snapshot),
            "source": self.source,
            "env": snapshot.recipe.env_id,
            "tier": plan.tier.name,
            "seed": plan.seed,
            "counts": {status.value: self.count(status) for status in Status},
            "caveat": NOTHING_FOUND,
            "findings": [finding.as_dict() for finding in self.findings],
        }

    def to_json(self) -> str:
        """The same bytes for the same findings."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def diagnose(
    snapshot: Snapshot,
    path: Path,
    *,
    tier: Tier | None = None,
    minutes: float = 4.0,
    seed: int = 0,
    checks: Sequence[Check] = CHECKS,
) -> Diagnosis:
    """Diagnose the agent that was read from `path`; a `tier` that is given takes whatever time it needs."""
    began = time.monotonic()
    deadline = None if tier else began + 60 * minutes
    plan = (
        DiagnosisPlan(snapshot, tier, budget.expected_length(snapshot), seed)
        if tier
        else budget.largest(snapshot, budget.measure(snapshot, seed), num_jobs(), minutes, seed)
    )
    with open_context(modules=snapshot.recipe.modules) as context:
        evidence = measure(plan, checks, context, deadline)
    evidence = replace(evidence, records=records_around(path, snapshot))
    return Diagnosis(evidence, tuple(conclude(check, evidence) for check in checks), source_of(path, snapshot))


def source_of(path: Path, snapshot: Snapshot) -> str:
    """The file's name and digest; of an agent of another library, who trained it and all files that were read."""
    if snapshot.source is None:
        return f"{path.name}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    files = (f"{name}, SHA-256 {digest}" for name, digest in snapshot.source.files.items())
    return "; ".join([str(snapshot.source), *files])


def measure(
    plan: DiagnosisPlan, checks: Sequence[Check], context: ExecutionContext, deadline: float | None
) -> Evidence:
    """What the checks read and the agent allows; for what no time is left, that is the reason that it is missing."""
    wanted = {name for check in checks for name in (*check.needs, *check.wants)}
    evidence = Evidence(plan, missing=dict(unmeasurable(plan)))
    late = f"the time asked for was used up before; --tier {plan.tier.name} measures it, whatever it takes"
    for name, step in STEPS.items():
        if name not in wanted or name in evidence.missing:
            continue
        found = late if deadline is not None and time.monotonic() > deadline else step(evidence, context)
        if isinstance(found, str):
            evidence = replace(evidence, missing={**evidence.missing, name: found})
        else:
            evidence = replace(evidence, **{name: found})
    return evidence


def _returns(evidence: Evidence, context: ExecutionContext) -> dict[str, Episodes]:
    """Whole episodes, by the kind of their actions."""
    plan, kinds = evidence.plan, ("sampled", "deterministic")
    shards = [ReturnShard(plan.snapshot, plan.seed, *b, kind) for kind in kinds for b in blocks(plan.tier.episodes)]
    work: Callable[[ReturnShard], int] = lambda shard: shard.count * plan.length  # noqa: E731
    found = list(run_shards(measure_episodes, shards, context, work=work, title="returns"))
    half = len(found) // 2
    return dict(zip(kinds, (joined(found[:half], axis=1), joined(found[half:], axis=1)), strict=True))


def _states(evidence: Evidence, context: ExecutionContext) -> StateValues | str:
    """True values of states."""
    plan, (count, rollouts) = evidence.plan, evidence.plan.states
    shards = [StateShard(plan.snapshot, plan.seed, *block, rollouts) for block in blocks(count)]
    work: Callable[[StateShard], int] = lambda shard: shard.count * plan.state_pairs  # noqa: E731
    found = list(run_shards(measure_states, shards, context, work=work, title="values"))
    return f"{plan.snapshot.recipe.env_id} cannot be put into a state" if found[0] is None else joined(found)


def _fit(evidence: Evidence, context: ExecutionContext) -> true_value.Fitted | str:
    """V*, in one shard: a fit cannot be shared out."""
    shards = [evidence.plan.fit]
    [fitted] = run_shards(true_value.measure, shards, context, work=NUM_PAIRS, title="true value function")
    return fitted


def _streams(evidence: Evidence, context: ExecutionContext) -> StreamResults:
    """Training batches, with every baseline that there is; without a value net, as training without a baseline."""
    plan, fitted = evidence.plan, None if evidence.fit is None else evidence.fit.value
    without_net = "value_net" in plan.snapshot.lacks
    agent = plan.snapshot.with_common(baseline="none") if without_net else plan.snapshot
    shards = [BatchShard(agent, plan.seed, *block, fitted) for block in blocks(plan.streams)]
    work: Callable[[BatchShard], int] = lambda shard: shard.count * agent.recipe.common.timesteps  # noqa: E731
    return joined(list(run_shards(measure_streams, shards, context, work=work, title="gradients")))


def _updates(evidence: Evidence, context: ExecutionContext) -> update_gain.Gains:
    """Whole updates, then episodes before and after each, cut as the probe cuts them."""
    plan = evidence.plan
    shards = update_gain.plan_updates([plan.snapshot], plan.updates, plan.seed)
    made = run_shards(update_gain.measure_updates, shards, context, work=NUM_PAIRS, title="updates")
    updates = list(update_gain.gather_updates(shards, made))
    runs = update_gain.plan_episodes(updates, plan.updates, plan.seed)
    work: Callable[[update_gain.EpisodeShard], int] = lambda shard: shard.num_episodes * plan.length  # noqa: E731
    results = run_shards(update_gain.measure_episodes, runs, context, work=work, title="returns after updates")
    [gains] = update_gain.gather(updates, runs, results)
    return gains


# By the fields of `Evidence`, in the order in which they are made: later ones read what earlier ones found, or are the
# first to be left out. A step gives what it found, or a reason why there is nothing.
STEPS: Mapping[str, Callable[[Evidence, ExecutionContext], Any]] = {
    "returns": _returns,
    "states": _states,
    "fit": _fit,
    "streams": _streams,
    "updates": _updates,
}


def unmeasurable(plan: DiagnosisPlan) -> Iterator[tuple[str, str]]:
    """Measurements that are not made, each with its reason."""
    snapshot, tier = plan.snapshot, plan.tier
    gamma = snapshot.recipe.common.gamma
    without_net = lacking(snapshot, "value net")
    without_unit = lacking(snapshot, "reward normaliser")
    if reason := without_net or without_unit:
        yield "states", reason
    elif plan.states == (0, 0):
        yield (
            "states",
            f"at gamma = {gamma:.12g} a rollout takes {plan.rollout_pairs:,} pairs, and tier {tier.name} "
            f"has {tier.state_pairs:,} for {FEWEST_STATES * FEWEST_ROLLOUTS} of them: ask for more minutes",
        )
    if reason := without_net or without_unit or true_value.unmeasurable(snapshot, plan.fit.pairs):
        yield "fit", reason
    if reason := lacking(snapshot, "policy update"):
        yield "updates", reason


def conclude(check: Check, evidence: Evidence) -> Finding:
    """A check's finding."""
    reasons = [lacking(evidence.snapshot, part) for part in check.parts]
    reasons += [evidence.missing.get(need, "") for need in check.needs]
    reason = next(filter(None, reasons), "")
    if reason:
        return Finding(check, reason=reason)
    try:
        return Finding(check, tuple(check.measure(evidence)), notes=tuple(notes(check, evidence)))
    except UnmeasuredError as error:
        return Finding(check, reason=str(error))


def notes(check: Check, evidence: Evidence) -> Iterator[str]:
    """What a reader of a finding must know of how it was measured."""
    plan = evidence.plan
    gamma = evidence.snapshot.recipe.common.gamma
    if "states" in check.needs and plan.states != (plan.tier.states, plan.tier.rollouts):
        count, rollouts = plan.states
        yield (
            f"At gamma = {gamma:.12g} every rollout takes up to {plan.rollout_pairs:,} pairs: the budget caps them at "
            f"{count} states x {rollouts} rollouts, instead of {plan.tier.states} x {plan.tier.rollouts}."
        )
    if check is gradients.better_baselines and evidence.fit is None:
        yield f"V* was not fitted: {evidence.missing.get('fit', '')}."


def ordered(diagnosis: Diagnosis) -> list[Finding]:
    """The most serious first, then as in the catalog."""
    return sorted(diagnosis.findings, key=lambda finding: list(Status).index(finding.status))
