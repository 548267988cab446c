"""A diagnosis: measure within the time asked for, then hold what was measured against every check's rule."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dpg.agent.snapshot import Snapshot
from dpg.diagnose import budget
from dpg.diagnose.catalog import CHECKS
from dpg.diagnose.checks.gradients import BASELINES
from dpg.diagnose.evidence import Evidence, UnmeasuredError
from dpg.diagnose.findings import Check, Finding, Status
from dpg.diagnose.measurements import Job, StreamResults, joined, pairs_of, run
from dpg.diagnose.parts import lacking
from dpg.diagnose.plan import Plan
from dpg.diagnose.records import records_around
from dpg.diagnose.tiers import FEWEST_ROLLOUTS, FEWEST_STATES, Tier
from dpg.probes import true_value, update_gain
from dpg.probes.gradient_sums import GradientSums
from dpg.runtime.progress import Progress
from dpg.runtime.shards import ExecutionContext, map_shards, open_context
from dpg.streams.advantages import horizon

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
    plan = Plan(snapshot, tier, budget.longest(snapshot), seed) if tier else budget.choose(snapshot, minutes, seed)
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


def measure(plan: Plan, checks: Sequence[Check], context: ExecutionContext, deadline: float | None) -> Evidence:
    """What the checks read and the agent allows; for what no time is left, that is the reason that it is missing."""
    wanted = {name for check in checks for name in (*check.needs, *check.wants)}
    evidence = Evidence(plan, missing=dict(unmeasurable(plan)))
    for name, step in STEPS.items():
        if name not in wanted or name in evidence.missing:
            continue
        if deadline is not None and time.monotonic() > deadline:
            late = f"the time asked for was used up before; --tier {plan.tier.name} measures it, whatever it takes"
            evidence = replace(evidence, missing={**evidence.missing, name: late})
        else:
            evidence = step(evidence, context)
    return evidence


def measure_returns(evidence: Evidence, context: ExecutionContext) -> Evidence:
    """Whole episodes."""
    jobs = evidence.plan.evaluation_jobs()
    found = work("returns", jobs, context)
    by_actions = {
        actions: joined([each for job, each in zip(jobs, found, strict=True) if job.actions == actions], axis=1)
        for actions in ("sampled", "deterministic")
    }
    return replace(evidence, returns=by_actions)


def measure_states(evidence: Evidence, context: ExecutionContext) -> Evidence:
    """True values of states."""
    found = work("values", evidence.plan.state_jobs(), context)
    if found[0] is None:
        reason = f"{evidence.snapshot.recipe.env_id} cannot be put into a state"
        return replace(evidence, missing={**evidence.missing, "states": reason})
    return replace(evidence, states=joined(found))


def measure_fit(evidence: Evidence, context: ExecutionContext) -> Evidence:
    """V*."""
    [fitted] = work("true value function", [evidence.plan.fit_job()], context)
    if isinstance(fitted, str):
        return replace(evidence, missing={**evidence.missing, "fit": fitted})
    return replace(evidence, fitted=fitted)


def measure_streams(evidence: Evidence, context: ExecutionContext) -> Evidence:
    """Training batches, with every baseline that there is."""
    fitted = None if evidence.fitted is None else evidence.fitted.value
    results: list[StreamResults] = work("gradients", evidence.plan.stream_jobs(fitted), context)
    sums = {name: concatenated([each.sums[name] for each in results]) for name in results[0].sums}
    streams = StreamResults(sums, joined([each.episodes for each in results]))
    return replace(evidence, streams=streams)


def concatenated(parts: Sequence[GradientSums]) -> GradientSums:
    """The sums of streams, one after the other."""
    return GradientSums(*map(np.concatenate, zip(*parts, strict=True)))


def measure_updates(evidence: Evidence, context: ExecutionContext) -> Evidence:
    """Whole updates, then episodes before and after each."""
    plan = evidence.plan
    update_jobs = plan.update_jobs()
    made = work("updates", update_jobs, context)
    updates = list(update_gain.gather_updates([job.shard for job in update_jobs], made))
    jobs = plan.update_episode_jobs(updates)
    results = work("returns after updates", jobs, context)
    shards = [job.shard for job in jobs]
    [gains] = update_gain.gather(updates, shards, results)
    return replace(evidence, gains=gains)


# In the order in which they are made: later ones read what earlier ones found, or are the first to be left out.
STEPS: Mapping[str, Callable[[Evidence, ExecutionContext], Evidence]] = {
    "returns": measure_returns,
    "states": measure_states,
    "fit": measure_fit,
    "streams": measure_streams,
    "updates": measure_updates,
}


def work(title: str, jobs: Sequence[Job], context: ExecutionContext) -> list[Any]:
    """The results of jobs, in their order."""
    with Progress(title, sum(map(pairs_of, jobs))) as progress:
        return list(map_shards(run, jobs, context, progress=progress, work=pairs_of))


def unmeasurable(plan: Plan) -> Iterator[tuple[str, str]]:
    """Measurements that are not made, each with its reason."""
    snapshot, tier = plan.snapshot, plan.tier
    common = snapshot.recipe.common
    without_net = lacking(snapshot, "value net")
    without_unit = lacking(snapshot, "reward normaliser")
    if reason := without_net or without_unit:
        yield "states", reason
    elif plan.states == (0, 0):
        yield (
            "states",
            f"at gamma = {common.gamma:.12g} a rollout takes {horizon(common.gamma) + 1:,} pairs, and tier {tier.name} "
            f"has {tier.state_pairs:,} for {FEWEST_STATES * FEWEST_ROLLOUTS} of them: ask for more minutes",
        )
    if reason := without_net or without_unit or true_value.unmeasurable(snapshot, plan.fit_job().shard.pairs):
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
            f"At gamma = {gamma:.12g} every rollout takes up to {horizon(gamma) + 1:,} pairs: the budget caps them at "
            f"{count} states x {rollouts} rollouts, in the place of {plan.tier.states} x {plan.tier.rollouts}."
        )
    if check is BASELINES and evidence.fitted is None:
        yield f"V* was not fitted: {evidence.missing.get('fit', '')}."


def ordered(diagnosis: Diagnosis) -> list[Finding]:
    """The gravest first, then as in the catalog."""
    return sorted(diagnosis.findings, key=lambda finding: list(Status).index(finding.status))
