"""What earlier runs of a project's stages recorded: their costs, and their parameters."""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dpg.planning import stages
from dpg.planning.cells import TaskSpec
from dpg.planning.forecast import Cost
from dpg.planning.work import StageWork
from dpg.runtime import config, machine
from dpg.runtime.config import ConfigError
from dpg.runtime.schema import Params


def parameters(project: Path, names: Collection[str]) -> Params | None:
    """The parameters of the last runs of some stages, which DVC keeps in its lock file; None if they are unknown.

    The file also has stages that are no longer in the pipeline, with parameters that may not exist any more.
    """
    yaml = YAML(typ="safe")
    try:
        raw: Any = yaml.load(project / "params.yaml")
        locked: Any = yaml.load(project / "dvc.lock")["stages"]
        for stage in (locked[name] for name in locked if name in names):
            for name, value in stage.get("params", {}).get("params.yaml", {}).items():
                *sections, last = name.split(".")
                reduce(getitem, sections, raw)[last] = value
                if sections[:1] == ["scales"]:
                    raw["scale"] = sections[1]
        return config.parse(raw)
    except (OSError, YAMLError, ConfigError, KeyError, TypeError):
        return None


def read(project: Path, works: Sequence[StageWork], tasks: Mapping[str, TaskSpec], jobs: int) -> dict[str, Cost]:
    """What complete executions of the same work, on this machine and as many workers, have cost, by stage.

    One that resumed another says too little. `works` are those of the whole pipeline.
    """
    wanted = {work.name: work for work in works}
    earlier = parameters(project, wanted)
    envs = tuple(env for env in earlier.envs if env in tasks) if earlier else ()
    before = stages.stages(earlier.model_copy(update={"envs": envs}), tasks, jobs) if earlier else []
    here = {"hardware.cpu": machine.cpu(), "hardware.cores": str(os.cpu_count())}
    found: dict[str, Cost] = {}
    for work in before:
        again = wanted.get(work.name)
        if again is None or (work.rounds, work.starts) != (again.rounds, again.starts):
            continue
        path = project.joinpath("data", "runs", *filter(None, (work.stage, work.env, work.algorithm)))
        try:
            entry = json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))
            cost: Cost = entry["cost"]
            there = {name: entry["provenance"][name] for name in here}
            whole = cost["resumed_shards"] == 0 and cost["shards"] == (work.shards or cost["shards"])
            same = whole and cost["workers"] == jobs and (work.approximate or cost["pairs"] == work.pairs)
            if there == here and same:
                found[work.name] = cost
        except (OSError, ValueError, KeyError):
            continue
    return found
