"""On which device candidates are fitted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from passerelle.contracts.container import Problem
from passerelle.domain import machine
from passerelle.domain.candidates.calibrated import innermost
from passerelle.domain.project.gpu_types import has_gpu, has_several_gpus
from training.paths import base_dir
from training.progress import tell

CPU = "cpu"


def device(gpu: Path = machine.GPU) -> tuple[str, tuple[Problem, ...]]:
    """Return "cuda" when the instance has an NVIDIA GPU and XGBoost can use it, else "cpu".

    A GPU that is paid for and not used is told in the job's log, and is a warning of the run.
    """
    instance_type = _instance_type()
    if not gpu.exists():
        # The laptop calls its jobs' instances what the project does.
        why = f"{instance_type} has a GPU, this machine has none" if has_gpu(instance_type) else ""
        return CPU, _unused(why, "On AWS the job runs on that instance; here its candidates are fitted on processors.")
    if why := machine.gpu_problem() or "":
        return CPU, _unused(why, "Take an instance type without a GPU, or another one: `passerelle advise` compares.")
    if has_several_gpus(instance_type):
        why = f"{instance_type} has several GPUs, XGBoost fits on one of them"
        return "cuda", _unused(why, "Take a smaller size of that family in training.instance_type: it has one GPU.")
    return "cuda", ()


def _unused(why: str, remedy: str) -> tuple[Problem, ...]:
    if not why:
        return ()
    tell("gpu_not_used", why=why)
    rule = "a GPU that the job pays for is used"
    return (Problem(code="gpu_not_used", severity="warning", rule=rule, message=why, remedy=remedy),)


def _instance_type() -> str:
    """Return what the job's configuration says it runs on, "" without one (a reproduction)."""
    path = base_dir() / "input" / "config" / "resourceconfig.json"
    if not path.is_file():
        return ""
    return str(json.loads(path.read_text(encoding="utf-8")).get("current_instance_type") or "")


def leave_gpu(pipeline: Any) -> None:
    """Let a fitted model answer on processors from here on: what is judged and kept is what will be served."""
    model = innermost(pipeline.named_steps["model"])
    if hasattr(model, "get_booster") and model.get_params().get("device") == "cuda":
        model.set_params(device=CPU)  # of a fitted model: the booster's too
