"""What MLflow is to know about a run, in its words: tags, notes, metrics, datasets. Nothing here talks to a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from passerelle.aws.mlflow_batches import Point
from passerelle.aws.mlflow_server import without_secrets
from passerelle.aws.model_registry import VersionRequest
from passerelle.contracts.container import CandidateResult, EvaluateResult, MachineUsage, PrepareResult, TrainResult
from passerelle.contracts.runs import RunOrigin
from passerelle.contracts.study import Study

MAX_TEXT: Final = 5_000
#: Part of the split -> the context in which MLflow shows it.
CONTEXTS: Final = {"train": "training", "validation": "validation", "test": "test"}
Tags = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class RunStory:
    """Everything that MLflow is to know about one attempt of a run.

    `cost_usd` is what its jobs cost, None when that is unknown; `execution_url` is "" where AWS has no console.
    """

    environment: str
    project: str
    run_id: str
    attempt: int
    git_sha: str
    lock_hash: str
    dataset: PrepareResult
    training: TrainResult
    evaluation: EvaluateResult
    training_folder: Path
    evaluation_folder: Path
    model_data_url: str
    model_name: str
    image_uri: str = ""
    cost_usd: float | None = None
    execution_arn: str = ""
    execution_url: str = ""
    usage: MachineUsage | None = None
    origin: RunOrigin | None = None

    @property
    def identity(self) -> str:
        return f"{self.run_id}-{self.attempt}"

    @property
    def study(self) -> Study | None:
        """The trials of a tuned run; None of one that was not tuned."""
        return self.training.study


def experiment_name(project: str, environment: str) -> str:
    """Return what MLflow calls a project's experiment."""
    return project if environment == "laptop" else f"{project}-{environment}"


def experiment_tags(story: RunStory) -> Tags:
    """Return the tags of a project's experiment."""
    return {
        "passerelle.environment": story.environment,
        "passerelle.project": story.project,
        "mlflow.note.content": f"Runs of project {story.project} in {story.environment}: one parent run for each drop "
        "of data, below it the candidates, below these the trials of their tuning.",
    }


def run_tags(story: RunStory) -> Tags:
    """Return the tags of every run of a story: where it comes from. `mlflow.source.*` are shown in MLflow's tables."""
    known = git_known(story.git_sha)
    return {
        **_provenance(story),
        "passerelle.environment": story.environment,
        "passerelle.attempt": str(story.attempt),
        "mlflow.source.name": "passerelle",
        "mlflow.source.type": "JOB",
        **({"mlflow.source.git.commit": story.git_sha} if known else {}),
    }


def git_known(git_sha: str) -> bool:
    """Return whether a commit is known: outside a checkout there is none."""
    return git_sha not in ("", "unknown")


def parent_tags(story: RunStory) -> Tags:
    """Return what the parent run says besides: the verdict, why this candidate, what it cost, where it ran."""
    optional = {
        "passerelle.cost_usd": "" if story.cost_usd is None else f"{story.cost_usd:.6f}",
        "passerelle.execution": story.execution_arn,
        "passerelle.execution_url": story.execution_url,
        "passerelle.reasons": _shown(" ".join(story.evaluation.reasons)),
        "passerelle.warnings": _warnings(story),
    }
    return {
        "passerelle.gate": story.evaluation.status,
        "passerelle.chosen_candidate": story.training.chosen,
        "passerelle.bundle": story.model_data_url,
        "passerelle.why": _shown(story.training.why),
        "mlflow.note.content": _shown(_note(story)),
        **{name: value for name, value in optional.items() if value},
    }


def _note(story: RunStory) -> str:
    """Return the page that MLflow shows first, in Markdown."""
    verdict = "passed the gate" if story.evaluation.status == "passed" else "was refused by the gate"
    lines = [f"**{story.training.chosen}** {verdict}. {story.training.why}"]
    lines += [f"- {check.message} ({'passed' if check.passed else 'not passed'})" for check in story.evaluation.checks]
    lines += [f"- **Warning:** {warning.message}. {warning.remedy}" for warning in story.training.warnings]
    rows = ", ".join(f"{part} {story.dataset.split[part].rows:,}" for part in CONTEXTS if part in story.dataset.split)
    lines.append(f"\nDataset `{story.dataset.dataset_id}` (rows: {rows}). Bundle `{story.model_data_url}`.")
    lines.append(f"Train it again: `passerelle --env {story.environment} reproduce {story.run_id}`.")
    return "\n".join(lines)


def parent_metrics(story: RunStory) -> dict[str, float]:
    """Return the metrics of the parent run."""
    evaluation = story.evaluation
    return {
        **{f"test_{name}": value for name, value in evaluation.test_metrics.items()},
        **{f"baseline_{name}": value for name, value in evaluation.baseline_metrics.items()},
        **{f"champion_{name}": value for name, value in evaluation.champion_metrics.items()},
        "training_seconds": story.training.seconds,
        **({} if story.cost_usd is None else {"cost_usd": story.cost_usd}),
    }


def usage_series(story: RunStory) -> Iterator[Point]:
    """Yield what the training job used of its machine: MLflow shows `system/...` on a page of its own."""
    if story.usage is None:
        return
    for name, values in story.usage.series.items():
        for step, (moment, value) in enumerate(zip(story.usage.moments, values, strict=True)):
            yield Point(name, value, moment, step)


def candidate_tags(item: CandidateResult, story: RunStory) -> Tags:
    """Return what a candidate's run says besides."""
    tags = {
        "passerelle.chosen": str(item.name == story.training.chosen).lower(),
        "passerelle.features": str(len(item.features)),
    }
    if item.kind:
        tags["passerelle.candidate_kind"] = item.kind
    if item.error:
        tags["passerelle.error"] = _shown(item.error)
    return tags


def candidate_metrics(item: CandidateResult, story: RunStory) -> dict[str, float]:
    """Return the metrics of a candidate's run; the chosen one was tested too."""
    metrics = {f"validation_{name}": value for name, value in item.validation_metrics.items()}
    metrics |= {f"train_{name}": value for name, value in item.train_metrics.items()}
    metrics |= {"seconds": item.seconds}
    if item.primary_standard_error is not None:
        metrics["validation_standard_error"] = item.primary_standard_error
    if item.name == story.training.chosen:
        metrics |= {f"test_{name}": value for name, value in story.evaluation.test_metrics.items()}
    return metrics


def datasets(story: RunStory) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (context, fields of MLflow's Dataset) of each part of the split.

    MLflow knows a dataset by name and digest: the digest is the dataset's id, so the parts have names of their own.
    """
    schema = _schema(story)
    for part, context in CONTEXTS.items():
        if part not in story.dataset.split:
            continue
        told = story.dataset.split[part]
        profile: dict[str, Any] = {"num_rows": told.rows, "start": told.start, "end": told.end}
        if part == "train":
            profile["label"] = story.dataset.label_summary
        yield (
            context,
            {
                "name": f"{story.project}-{part}",
                "digest": str(story.dataset.dataset_id),
                "source_type": "s3",
                "source": json.dumps({"uri": told.uri}),
                "profile": json.dumps({name: value for name, value in profile.items() if value not in (None, {})}),
                **({"schema": schema} if schema else {}),
            },
        )


def _schema(story: RunStory) -> str | None:
    """Return the columns as MLflow writes them, from the candidate that sees most of them."""
    trained = [item for item in story.training.candidates if item.status == "trained"]
    widest = max(trained, key=lambda item: len(item.features), default=None)
    path = story.training_folder / widest.directory / "model" / "MLmodel" if widest else None
    if path is None or not path.is_file():
        return None
    signature = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("signature") or {}
    inputs = signature.get("inputs")
    return json.dumps({"mlflow_colspec": json.loads(inputs)}) if inputs else None


def version_request(story: RunStory, run: str, model: str, run_url: str) -> VersionRequest:
    """Return what the registry is to know of the chosen model; one that the gate refused is kept with the reasons."""
    return VersionRequest(
        name=story.model_name,
        identity=story.identity,
        project=story.project,
        run=run,
        model=model,
        description=_shown(_note(story)),
        tags={
            **_provenance(story),
            "passerelle.bundle": story.model_data_url,
            "passerelle.candidate": story.training.chosen,
            "passerelle.gate": story.evaluation.status,
            "passerelle.reasons": _shown(" ".join(story.evaluation.reasons)),
            "passerelle.run_url": run_url,
            **({"passerelle.warnings": _warnings(story)} if story.training.warnings else {}),
        },
    )


def _warnings(story: RunStory) -> str:
    """Return what training warns of (a feature that is suspected to leak), "" where there is nothing."""
    return _shown(" ".join(f"{warning.message}." for warning in story.training.warnings))


def _provenance(story: RunStory) -> Tags:
    """Return what a model was made of, and where it was carried from, if it was."""
    image, _, digest = story.image_uri.partition("@")
    tags = {
        "passerelle.project": story.project,
        "passerelle.dataset_id": str(story.dataset.dataset_id),
        "passerelle.contract_hash": story.dataset.contract_hash,
        "passerelle.git_sha": story.git_sha,
        "passerelle.lock_hash": story.lock_hash,
        **({"passerelle.image": image} if image else {}),
        **({"passerelle.image_digest": digest} if digest else {}),
    }
    if story.origin is None:
        return tags
    return tags | {
        "passerelle.origin": story.origin.environment,
        "passerelle.origin_account": story.origin.account,
        "passerelle.origin_run": f"{story.run_id}-{story.origin.attempt}",
        "passerelle.origin_image": story.origin.image_uri,
    }


def _shown(text: str) -> str:
    return without_secrets(text)[:MAX_TEXT]
