"""What a run of `prepare` found: the result for the pipeline, the rejected rows and the report in quarantine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from passerelle.contracts import zones
from passerelle.contracts.container import DatasetFile, DropManifest, PrepareResult, Problem, SplitPart
from passerelle.domain.dataset.engine import Engine
from passerelle.domain.dataset.identity import dataset_id
from passerelle.domain.project import Project
from training.prepare.build import Built
from training.prepare.places import Places
from training.prepare.validate import ValidatedFile

#: A run's record is one item of 400 KB in DynamoDB; the report in quarantine has every problem.
MAX_PROBLEMS: Final = 100
_ORDER: Final = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found: each file, why the drop is rejected as a whole, the dataset and its files if there is one."""

    validated: Sequence[ValidatedFile]
    drop: Problem | None = None
    built: Built | None = None
    files: tuple[DatasetFile, ...] = ()


def drop_problem(validated: Sequence[ValidatedFile], project: Project) -> Problem | None:
    """Return why the drop is rejected as a whole: too many rows of its files break the contract.

    Rows of rejected files count too, so one broken file among good ones stops the run only when it is large.
    """
    limit = project.data.thresholds.rejected_rows
    rows, broken = sum(item.outcome.rows_read for item in validated), sum(item.broken for item in validated)
    if not rows or broken / rows <= limit or all(item.outcome.status == "rejected" for item in validated):
        return None
    return Problem(
        code="too_many_rejected",
        rule=f"at most {limit:.1%} of a drop's rows are rejected",
        message=f"{broken:,} of the drop's {rows:,} rows ({broken / rows:.1%}) break the contract",
        remedy="Correct the rows (they are in quarantine, with reasons), or raise data.thresholds.rejected_rows.",
        count=broken,
    )


def keep_quarantine(
    validated: Sequence[ValidatedFile], manifest: DropManifest, folder: Path, places: Places
) -> str | None:
    """Write the rejected rows and the report; returns their S3 prefix, None when nothing was found wrong."""
    problems = [problem for item in validated for problem in item.outcome.problems]
    for index, item in enumerate(validated):
        if item.quarantined:
            places.reject(item.quarantined, f"{index:05d}.parquet")
    if not any(problem.severity != "note" for problem in problems):
        return None
    report = {
        "project": manifest.project,
        "run_id": manifest.run_id,
        "files": [item.outcome.model_dump(mode="json") for item in validated],
    }
    (folder / "report.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    prefix = zones.quarantine_prefix(manifest.project, manifest.run_id, manifest.attempt)
    return zones.s3_uri(manifest.zones["quarantine"], prefix)


def make_result(
    manifest: DropManifest,
    contract: str,
    findings: Findings,
    quarantine_uri: str | None,
    engine: Engine,
    seconds: float,
) -> PrepareResult:
    """Return the run's result; it is accepted when there is a dataset."""
    outcomes, built = [item.outcome for item in findings.validated], findings.built
    accepted = built is not None and bool(built.parts)
    identity = dataset_id(findings.files, contract) if accepted else None
    split = {}
    if built and identity:
        prefix = zones.s3_uri(manifest.zones["curated"], zones.dataset_prefix(manifest.project, identity))
        split = {
            part.name: SplitPart(uri=f"{prefix}/{part.name}/", rows=part.rows, start=part.start, end=part.end)
            for part in built.parts
        }
    return PrepareResult(
        status="accepted" if accepted else "rejected",
        dataset_id=identity,
        contract_hash=contract,
        files=tuple(outcomes),
        dataset_files=findings.files if accepted else (),
        rows_read=sum(outcome.rows_read for outcome in outcomes),
        rows_accepted=sum(outcome.rows_accepted for outcome in outcomes),
        rows_rejected=sum(outcome.rows_rejected for outcome in outcomes),
        rows_without_label=built.without_label if built else 0,
        duplicate_rows=built.duplicates if built else 0,
        quarantine_uri=quarantine_uri,
        split=split,
        label_summary=built.label_summary if built else {},
        dropped_columns=built.dropped_columns if built else {},
        problems=_worst_first(findings),
        engine=engine.name,
        engine_reason=engine.why,
        seconds=seconds,
    )


def _worst_first(findings: Findings) -> tuple[Problem, ...]:
    """Return the run's problems: what ended it, then errors before warnings, at most MAX_PROBLEMS in all."""
    own = [*([findings.drop] if findings.drop else []), *(findings.built.problems if findings.built else ())]
    of_files = [problem for item in findings.validated for problem in item.outcome.problems]
    found = sorted([*own, *of_files], key=lambda problem: _ORDER[problem.severity])
    if len(found) <= MAX_PROBLEMS:
        return tuple(found)
    more = Problem(
        code="more_problems",
        severity=found[MAX_PROBLEMS - 1].severity,
        rule="every file keeps the contract",
        message=f"{len(found) - MAX_PROBLEMS + 1:,} more problems were found",
        remedy="Look into report.json in the quarantine: it has all of them.",
        count=len(found) - MAX_PROBLEMS + 1,
    )
    return (*found[: MAX_PROBLEMS - 1], more)


def one_line(result: PrepareResult) -> str:
    """Return the result in a sentence, for the job's exit message."""
    first = next((problem.message for problem in result.problems if problem.severity == "error"), "")
    words = f"{result.status}: {result.rows_accepted:,} of {result.rows_read:,} rows accepted"
    return (f"{words}. {first}" if first else words)[:1_000]
