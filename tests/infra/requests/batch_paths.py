"""What `passerelle batch` asks of AWS, as a path of code_paths."""

from __future__ import annotations

from datetime import UTC, datetime

from passerelle.aws.batch_jobs import BatchJobs
from passerelle.aws.deployed import DeployedPlatform
from passerelle.contracts.batch import BatchPlan
from passerelle.domain.batch import StoredObject, form_of
from passerelle.domain.requests.batch import BatchJob
from tests.infra.requests.code_paths import Place


def batches(place: Place) -> None:
    """What `passerelle batch` asks: of an endpoint with a model, and of one with a component."""
    jobs = BatchJobs(DeployedPlatform("prod", place.session), "flights")
    where = jobs.place("july", None)
    jobs.plans(where), jobs.model(), jobs.tags(), jobs.words("flights-batch-1")
    inputs = (StoredObject("a.csv", "e", 1, datetime(2026, 1, 1, tzinfo=UTC)),)
    plan = BatchPlan(job="flights-batch-1", project="flights", model="m", joined=False, inputs=())
    job = BatchJob(
        name=plan.job, model_name="m", manifest_uri=f"{where.input_uri}_batch/m", output_uri=where.output_uri,
        form=form_of(inputs, where.input_uri), inputs=inputs, joined=False, instance_type="ml.m5.large",
        kms_key_arn="arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555", tags={"a": "b"},
    )  # fmt: skip
    jobs.start(where, plan, job)
    jobs.describe(plan.job)
