"""Judge a shadow anew with labels that have come since, from what both models' answers were recorded as."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from passerelle.aws.recorded_answers import fetch_records, paired_answers, values_of
from passerelle.contracts import zones
from passerelle.contracts.experiment import ShadowEvidence
from passerelle.contracts.runs import RunRecord
from passerelle.domain.experiment.labelled import LabelledAnswers, Said, judge_labelled
from passerelle.domain.project import Project
from passerelle.errors import InputError, NotFoundError
from passerelle.steps.outcome_files import Labels, read_labels
from passerelle.steps.read_experiment import Reader

if TYPE_CHECKING:
    import pandas as pd

#: From the end of a shadow to its verdict: the job that compares answers runs for three hours at most.
_JUDGING: Final = timedelta(hours=4)


def read_shadow(
    reader: Reader,
    project: Project,
    record: RunRecord,
    files: Sequence[Path],
    progress: Callable[[int], None] = lambda _: None,
) -> ShadowEvidence:
    """Return a run's evidence with the tests that labels allow.

    Raises NotFoundError for a run whose model was in no shadow, InputError naming file and row for labels that cannot
    be read, and where none of them is of a request that both models answered.
    """
    shadow = _shadow_of(record)
    text = reader.objects.read(reader.reports, f"{zones.report_prefix(record.project, record.run_id)}/shadow.json")
    evidence = ShadowEvidence.model_validate_json(text)
    if project.serving.profile == "serverless":
        raise InputError(
            f"{project.name} has no shadow variant whose answers are recorded: of a replay, the job's evidence is all. "
            f"`passerelle promote {project.name}` replays again, with what is recorded by then."
        )
    labels = read_labels(project, files)
    until = datetime.fromisoformat(shadow["judged_at"])
    since = until - timedelta(hours=evidence.hours) - _JUDGING
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        paths = fetch_records(reader.objects, reader.predictions, project.name, since, until, folder, progress)
        pairs = paired_answers(paths, since, until, folder)
    answers = _labelled(pairs, labels)
    if not answers.labels:
        raise InputError(
            f"None of {len(labels.known):,} labels is of one of the {len(pairs):,} recorded requests that both models "
            f"answered between {since:%Y-%m-%d %H:%M} and {until:%Y-%m-%d %H:%M} UTC."
        )
    return judge_labelled(evidence, project, answers)


def keep_evidence(reader: Reader, record: RunRecord, evidence: ShadowEvidence) -> str:
    """Write it beside what the shadow showed without labels, and return its URI."""
    key = f"{zones.report_prefix(record.project, record.run_id)}/shadow-labelled.json"
    reader.objects.write(reader.reports, key, evidence.model_dump_json(indent=2).encode())
    return zones.s3_uri(reader.reports, key)


def newest_shadow(records: Sequence[RunRecord], project: str) -> RunRecord:
    """Return the newest run whose model was in the shadow.

    Raises NotFoundError when there is none.
    """
    found = next((record for record in records if record.shadow), None)
    if found is None:
        raise NotFoundError(f"No run of {project} had a model in the shadow (docs/experiments.md).")
    return found


def _shadow_of(record: RunRecord) -> dict[str, Any]:
    if "judged_at" not in record.shadow:
        raise NotFoundError(
            f"The model of run {record.run_id} was in no shadow, or before shadows told when they ended. "
            f"`passerelle promote {record.project} --run {record.run_id}` tries it."
        )
    return record.shadow


def _labelled(pairs: pd.DataFrame, labels: Labels) -> LabelledAnswers:
    found = labels.of(pairs)
    known = pairs[np.array([label is not None for label in found], dtype=bool)]
    entities = known["entity_id"].where(known["entity_id"].notna(), known["inference_id"])
    return LabelledAnswers(
        labels=[label for label in found if label is not None],
        entities=entities.to_numpy(str),
        champion=Said(values_of(known["champion_decision"]), values_of(known["champion_score"])),
        challenger=Said(values_of(known["challenger_decision"]), values_of(known["challenger_score"])),
    )
