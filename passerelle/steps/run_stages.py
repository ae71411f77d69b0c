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
    """Return the record with a stage running; one that runs already keeps its start."""
    current = next((item for item in record.stages if item.stage == stage), None)
    if current and current.status == "running":
        return record
    begun = StageRecord(stage=stage, status="running", started_at=utc_now(), job_name=job_name)
    return _with_stage(record, begun)


def end_stage(record: RunRecord, stage: Stage, **fields: Any) -> RunRecord:
    """Return the record with a stage done."""
    current = next((item for item in record.stages if item.stage == stage), None)
    started = current.started_at if current else utc_now()
    base = current or StageRecord(stage=stage, status="running", started_at=started)
    return _with_stage(record, base.model_copy(update={"status": "done", "ended_at": utc_now(), **fields}))


def _with_stage(record: RunRecord, stage: StageRecord) -> RunRecord:
    others = tuple(item for item in record.stages if item.stage != stage.stage)
    return record.model_copy(update={"stages": (*others, stage)})


def job_fields(stage: Stage, job: dict[str, Any], region: str) -> dict[str, Any]:
    """Return what a SageMaker description says of a stage: job, instance, billable seconds, price."""
    if stage == "train":
        instance, name = job["ResourceConfig"]["InstanceType"], job["TrainingJobName"]
        seconds = float(job.get("BillableTimeInSeconds", 0))
    else:
        instance, name = job["ProcessingResources"]["ClusterConfig"]["InstanceType"], job["ProcessingJobName"]
        seconds = max(1.0, _between(job.get("ProcessingStartTime"), job.get("ProcessingEndTime")))
    cost = job_cost(_COMPONENTS[stage], instance, region, seconds)
    return {"job_name": name, "instance_type": instance, "billable_seconds": seconds, "cost_usd": cost}


def _between(start: Any, end: Any) -> float:
    moments = [_moment(value) for value in (start, end)]
    return (moments[1] - moments[0]).total_seconds() if all(moments) else 0.0  # type: ignore[operator]


def _moment(value: Any) -> datetime | None:
    """Step Functions gives times as ISO 8601 text or as epoch milliseconds, by integration."""
    if value is None:
        return None
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    return datetime.fromisoformat(str(value))
