"""What the jobs of a run left that must not change any more: where each artefact lies, and its SHA-256."""

from __future__ import annotations

from typing import Any, Final

from passerelle.aws.clients import client
from passerelle.aws.objects import Objects
from passerelle.contracts import zones
from passerelle.contracts.container import RESULT_FILE

BUNDLE: Final = "train/model.tar.gz"
TRAINING_OUTPUT: Final = "train/output.tar.gz"
EVALUATION: Final = f"evaluate/{RESULT_FILE}"
DATASET: Final = f"prepare/{RESULT_FILE}"
#: Without one of these, nothing says what a model is, what it was trained on, or how it did.
NEEDED: Final = (BUNDLE, TRAINING_OUTPUT, EVALUATION, DATASET)


def seal_training(bucket: str, project: str, job: str) -> dict[str, str]:
    """Return the SHA-256 of what a training job left.

    Raises NotFoundError when it left no model.
    """
    objects = Objects(client("s3"))
    return {name: objects.sha256(bucket, training_key(project, job, name)) for name in (BUNDLE, TRAINING_OUTPUT)}


def seal_results(bucket: str, base: dict[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of what was found about the data and the model: results, figures, model card."""
    objects, found = Objects(client("s3")), {}
    for stage in ("prepare", "evaluate"):
        prefix = result_key(base["project"], base["run_id"], base["attempt"], f"{stage}/")
        for key in objects.keys(bucket, prefix):
            found[f"{stage}/{key[len(prefix) :]}"] = objects.sha256(bucket, key)
    return found


def training_key(project: str, job: str, name: str) -> str:
    """Return where SageMaker leaves an artefact of training in the models zone."""
    return f"{zones.training_output_prefix(project)}/{job}/output/{name.partition('/')[2]}"


def result_key(project: str, run_id: str, attempt: int, name: str) -> str:
    """Return where a result lies in the curated zone."""
    stage, _, rest = name.partition("/")
    return f"{zones.result_prefix(project, run_id, attempt, stage)}/{rest}"
