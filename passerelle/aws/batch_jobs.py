"""Batch transform jobs of a project: what lies at their prefixes, starting one, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import ClientError
from pydantic import ValidationError

from passerelle.aws.clients import translated
from passerelle.aws.deployed import DeployedPlatform
from passerelle.aws.objects import Objects
from passerelle.contracts import naming, zones
from passerelle.contracts.batch import BatchPlan
from passerelle.contracts.variants import VARIANT
from passerelle.domain.batch import StoredObject, WrittenPlan
from passerelle.domain.requests.batch import BatchJob, transform_job
from passerelle.domain.requests.manifest import manifest
from passerelle.errors import InputError, NotFoundError

_LOG_GROUP: Final = "/aws/sagemaker/TransformJobs"
_TOLD: Final = ":[sagemaker logs]: "
_PLAN: Final = ".json"
_WORDS: Final = 10


@dataclass(frozen=True)
class BatchPlace:
    """A prefix of the predictions zone for inputs, one for outputs; both end in a slash."""

    bucket: str
    inputs: str
    outputs: str

    @property
    def input_uri(self) -> str:
        return zones.s3_uri(self.bucket, self.inputs)

    @property
    def output_uri(self) -> str:
        return zones.s3_uri(self.bucket, self.outputs)

    def plan_key(self, job: str, suffix: str = _PLAN) -> str:
        return f"{zones.batch_plans_prefix(self.outputs)}/{job}{suffix}"


class BatchJobs:
    """The batches of one project."""

    def __init__(self, platform: DeployedPlatform, project: str) -> None:
        self._platform, self.project = platform, project
        self._bucket = platform.resource("predictions-bucket")

    def place(self, inputs: str, outputs: str | None) -> BatchPlace:
        """Return where a batch lies; without a place of their own, outputs lie beside the inputs.

        Raises InputError for a prefix that the servers' role may not read or write.
        """
        first = self._prefix(inputs)
        return BatchPlace(self._bucket, first, self._prefix(outputs) if outputs else first)

    def _prefix(self, given: str) -> str:
        """Take an s3:// URI, or a folder below the project's."""
        home = f"{zones.batch_prefix(self.project)}/"
        bucket, key = (
            zones.split_s3_uri(given) if given.startswith("s3://") else (self._bucket, f"{home}{given.strip('/')}")
        )
        prefix = f"{key.strip('/')}/"
        if bucket != self._bucket or not prefix.startswith(home) or zones.BATCH_PLANS in prefix.split("/"):
            raise InputError(
                f"{given}: batches of {self.project} are read and written below {zones.s3_uri(self._bucket, home)} "
                f"only, which is what their role may. Copy the files there: `aws s3 sync FOLDER "
                f"{zones.s3_uri(self._bucket, home)}NAME/`, then `passerelle batch {self.project} NAME`."
            )
        return prefix

    # What is there

    def listed(self, prefix: str) -> list[StoredObject]:
        """Return the objects below a prefix."""
        with translated(f"s3://{self._bucket}/{prefix}"):
            pages = self._platform.client("s3").get_paginator("list_objects_v2")
            return [
                StoredObject(item["Key"][len(prefix) :], item["ETag"], item["Size"], item["LastModified"])
                for page in pages.paginate(Bucket=self._bucket, Prefix=prefix)
                for item in page.get("Contents", ())
            ]

    def plans(self, place: BatchPlace) -> list[WrittenPlan]:
        """Return the plans of all jobs that have written there, the oldest first; what is none is passed over."""
        objects, folder = Objects(self._platform.client("s3")), f"{zones.batch_plans_prefix(place.outputs)}/"
        found = []
        for stored in self.listed(folder):
            if stored.name.endswith(_PLAN):
                try:
                    plan = BatchPlan.model_validate_json(objects.read(self._bucket, folder + stored.name))
                except ValidationError:
                    continue
                found.append(WrittenPlan(plan, stored.modified))
        return sorted(found, key=lambda each: each.written)

    def model(self) -> str:
        """Return the SageMaker model that the project's endpoint serves as its champion.

        Raises NotFoundError when nothing is served yet.
        """
        name = naming.endpoint_name(self._platform.environment, self.project)
        sagemaker = self._platform.client("sagemaker")
        found = self._platform.endpoint_status(self.project)
        if found is None:
            remedy = f"Train and deploy one: `passerelle drop {self.project} FILE`."
            raise NotFoundError(f"{self.project} has no model that is served yet. {remedy}")
        with translated(f"endpoint {name}"):
            config = sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
            variants = {item["VariantName"]: item for item in config["ProductionVariants"]}
            variant = variants.get(VARIANT) or config["ProductionVariants"][0]
            if "ModelName" in variant:
                return str(variant["ModelName"])
            component = naming.component_name(self._platform.environment, self.project)
            answer = sagemaker.describe_inference_component(InferenceComponentName=component)
            return str(answer["Specification"]["ModelName"])

    def tags(self) -> list[dict[str, str]]:
        """Return the tags of the project's endpoint."""
        found = self._platform.endpoint_status(self.project)
        if found is None:
            return []
        with translated(f"tags of {self.project}"):
            answer = self._platform.client("sagemaker").list_tags(ResourceArn=found["EndpointArn"])
        return list(answer["Tags"])

    # Jobs

    def start(self, place: BatchPlace, plan: BatchPlan, job: BatchJob) -> None:
        """Write the plan and the manifest, then create the job: what it writes can then be told from older outputs.

        Raises InputError when SageMaker refuses the request.
        """
        objects = Objects(self._platform.client("s3"))
        listed = manifest(place.input_uri, (each.name for each in job.inputs))
        objects.write(self._bucket, place.plan_key(plan.job, ".manifest"), listed)
        objects.write(self._bucket, place.plan_key(plan.job), plan.model_dump_json().encode())
        try:
            with translated(f"transform job {plan.job}"):
                self._platform.client("sagemaker").create_transform_job(**transform_job(job))
        except ClientError as error:
            raise InputError(f"SageMaker refuses the transform job: {error}") from error

    def describe(self, job: str) -> dict[str, Any] | None:
        """Return SageMaker's description of a job, None when it was never created."""
        try:
            with translated(f"transform job {job}"):
                return dict(self._platform.client("sagemaker").describe_transform_job(TransformJobName=job))
        except ClientError as error:
            if "Could not find" in str(error):
                return None
            raise

    def words(self, job: str) -> list[str]:
        """Return what the job's data log tells of objects that failed, the last words at most."""
        lines = self._platform.log_lines(_LOG_GROUP, prefix=f"{job}/")
        told = [line.text.partition(_TOLD)[2] for line in lines if _TOLD in line.text]
        return [text for text in told if not text.startswith("MaxConcurrentTransforms=")][:_WORDS]


def seconds_of(described: dict[str, Any]) -> float:
    """Return for how long a job that has ended had its instance, which is what it costs."""
    started: datetime | None = described.get("TransformStartTime")
    ended: datetime | None = described.get("TransformEndTime")
    return (ended - started).total_seconds() if started and ended else 0.0
