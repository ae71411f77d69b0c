"""Read the gate's verdict."""

from __future__ import annotations

from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import zones
from passerelle.contracts.runs import RunRecord
from passerelle.settings import RecordEvaluationSettings
from passerelle.steps.artefacts import seal_results
from passerelle.steps.job_results import read_evaluate_result
from passerelle.steps.project_lock import need_lock
from passerelle.steps.run_stages import begin_stage, end_stage, job_fields

_GATE_FIELDS: Final = (
    "status",
    "metric",
    "checks",
    "reasons",
    "verdict",
    "not_judged",
    "test_metrics",
    "baseline_metrics",
    "champion_metrics",
    "threshold",
)


def record_evaluation(request: dict[str, Any], settings: RecordEvaluationSettings) -> dict[str, Any]:
    """Return `passed` or `refused`; the figures and the model card go to the reports zone, where people read."""
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    base = {"project": project, "run_id": run_id, "attempt": attempt}
    result = read_evaluate_result(settings.zones["curated"], base)
    sealed = seal_results(settings.zones["curated"], base)

    def update(record: RunRecord) -> RunRecord:
        record = end_stage(record, "evaluate", **job_fields("evaluate", request["job"], settings.region))
        record = begin_stage(record, "register")
        gate = result.model_dump(mode="json", include=set(_GATE_FIELDS))
        return record.model_copy(update={"gate": gate, "artefacts": record.artefacts | sealed})

    table = RunsTable(client("dynamodb"), settings.runs_table)
    with translated("recording an evaluation"):
        need_lock(table, base)
        publish_evaluation(settings.zones, base)
        table.change(project, run_id, update, attempt=attempt)
    return {**base, "status": result.status}


def publish_evaluation(buckets: dict[str, str], base: dict[str, Any]) -> None:
    """Copy what was found about a model to where people read it."""
    objects, s3 = Objects(client("s3")), client("s3")
    source = buckets["curated"]
    prefix = zones.result_prefix(base["project"], base["run_id"], base["attempt"], "evaluate")
    target = zones.report_prefix(base["project"], base["run_id"])
    for key in objects.keys(source, f"{prefix}/"):
        place = {"Bucket": source, "Key": key}
        s3.copy_object(Bucket=buckets["reports"], Key=f"{target}/{key[len(prefix) + 1 :]}", CopySource=place)
