"""Write what happens to a run's stages into its record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from passerelle.aws.runs_table import utc_now
from passerelle.contracts.runs import RunRecord, Stage, StageRecord
from passerelle.domain.cost.prices import job_cost

_COMPONENTS: Final = {
    "prepare": "SageMaker Processing",
    "train": "SageMaker Training",
    "evaluate": "SageMaker Processing",
}


def begin_stage(record: RunRecord, stage: Stage, *, job_name: str | None = None) -> RunRecord:
    """Return the record with a stage running; one that runs already keeps its start.

    A run that failed and whose execution is redriven is at work again.
    """
    record = _at_work(record)
    current = _find(record, stage)
    if current and current.status == "running":
        return record
    begun = StageRecord(stage=stage, status="running", started_at=utc_now(), job_name=job_name)
    return _with_stage(record, begun)


def end_stage(record: RunRecord, stage: Stage, **fields: Any) -> RunRecord:
    """Return the record with a stage done; one that was done already keeps its end."""
    current = _find(record, stage)
    base = current or StageRecord(stage=stage, status="running", started_at=utc_now())
    ended = base.ended_at if base.status == "done" else utc_now()
    return _with_stage(record, base.model_copy(update={"status": "done", "ended_at": ended, **fields}))


def add_try(record: RunRecord, stage: Stage, spent: dict[str, Any], *, next_job: str) -> RunRecord:
    """Return the record with a job of a stage that is tried again elsewhere: what it cost stays with the stage."""
    current = _find(record, stage) or StageRecord(stage=stage, status="running", started_at=utc_now())
    tries = [item for item in current.summary.get("tries", ()) if item["job_name"] != spent["job_name"]]
    summary = {**current.summary, "tries": [*tries, spent]}
    begun = {"status": "running", "ended_at": None, "job_name": next_job, "summary": summary}
    return _with_stage(_at_work(record), current.model_copy(update=begun))


def end_tries(record: RunRecord, stage: Stage, *, summary: dict[str, Any], **fields: Any) -> RunRecord:
    """Return the record with a stage done, the seconds and costs of all its jobs together: one unknown, all unknown."""
    current = _find(record, stage)
    tries = list(current.summary.get("tries", ())) if current else []
    for name in ("billable_seconds", "cost_usd"):
        parts = [fields[name], *(item[name] for item in tries)]
        fields[name] = None if None in parts else sum(parts)
    return end_stage(record, stage, summary={**summary, **({"tries": tries} if tries else {})}, **fields)


def _at_work(record: RunRecord) -> RunRecord:
    return record.model_copy(update={"status": "running", "error": None}) if record.status == "failed" else record


def _find(record: RunRecord, stage: Stage) -> StageRecord | None:
    return next((item for item in record.stages if item.stage == stage), None)


def _with_stage(record: RunRecord, stage: StageRecord) -> RunRecord:
    """Put a stage in the place it has, a new one at the end."""
    known = {item.stage: item for item in record.stages} | {stage.stage: stage}
    return record.model_copy(update={"stages": tuple(known.values())})


def job_fields(stage: Stage, job: dict[str, Any], region: str) -> dict[str, Any]:
    """Return what a SageMaker description says of a stage: job, instance, billable seconds, price.

    What it does not say is None, as is what depends on it. SageMaker bills BillableTimeInSeconds of every instance (API
    reference, DescribeTrainingJob); a processing job, which has no such field, from its start to its end.
    """
    if stage == "train":
        cluster, name = job["ResourceConfig"], job["TrainingJobName"]
        billed = job.get("BillableTimeInSeconds")
        seconds = None if billed is None else float(billed)
    else:
        cluster, name = job["ProcessingResources"]["ClusterConfig"], job["ProcessingJobName"]
        seconds = _between(job.get("ProcessingStartTime"), job.get("ProcessingEndTime"))
    instance, count = cluster["InstanceType"], int(cluster.get("InstanceCount", 1))
    cost = None if seconds is None else job_cost(_COMPONENTS[stage], instance, region, seconds * count)
    return {"job_name": name, "instance_type": instance, "billable_seconds": seconds, "cost_usd": cost}


def _between(start: Any, end: Any) -> float | None:
    first, last = moment(start), moment(end)
    return max(1.0, (last - first).total_seconds()) if first and last else None


def moment(value: Any) -> datetime | None:
    """Return a time of a job's description.

    Step Functions gives it as ISO 8601 text or as epoch milliseconds, by integration.
    """
    if value is None:
        return None
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    return datetime.fromisoformat(str(value))
