"""Back-tests of a project: what they are asked of, starting one, how it goes, and what it found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from passerelle.aws.clients import translated
from passerelle.aws.deployed import DeployedPlatform, refusals_translated
from passerelle.aws.objects import Objects
from passerelle.contracts import zones
from passerelle.contracts.backtest import BacktestQuestion, BacktestResult
from passerelle.contracts.container import QUESTION_FILE, RESULT_FILE, PrepareResult
from passerelle.contracts.runs import RunRecord
from passerelle.domain.project import Project
from passerelle.domain.requests.backtest import backtest_job
from passerelle.domain.requests.jobs import JobPlace, RunRef
from passerelle.errors import InputError, NotFoundError

LOG_GROUP: Final = "/aws/sagemaker/ProcessingJobs"
_RUNS: Final = 50


class Backtests:
    """The back-tests of one project."""

    def __init__(self, platform: DeployedPlatform, project: str) -> None:
        self._platform, self.project = platform, project
        self._curated = platform.resource("curated-bucket")

    def champion(self) -> RunRecord:
        """Return the run whose model is served.

        Raises NotFoundError when none is, InputError for one whose training is not recorded here.
        """
        table = self._platform.runs_table
        with refusals_translated(self._platform.environment):
            served = table.item(self.project, "CHAMPION")
            if served is None:
                raise NotFoundError(
                    f"{self.project} has no model that is served yet, so none can be followed into the past. Train and "
                    f"deploy one: `passerelle drop {self.project} FILE`."
                )
            record = table.need(self.project, str(served["run_id"]))
        if record.origin is not None:
            there = record.origin.environment
            raise InputError(
                f"The champion of {self.project} was trained in {there}, where its data is: "
                f"`passerelle --env {there} backtest {self.project}`."
            )
        if record.project_uri is None:
            raise InputError(
                f"Run {record.run_id} does not say which archive of its project it trained: it was recorded by an "
                "earlier version. Runs from now on do."
            )
        return record

    def dataset(self, champion: RunRecord) -> str:
        """Return the newest dataset that was prepared by the champion's data contract; at least its own was."""
        contract = self._contract(champion)
        for record in self._platform.runs(self.project, limit=_RUNS):
            if record.dataset_id and record.run_id != champion.run_id and self._contract(record) == contract:
                return record.dataset_id
            if record.run_id == champion.run_id:
                break
        return str(champion.dataset_id)

    def _contract(self, record: RunRecord) -> str:
        """Return the contract that a run's data was prepared by, "" where nothing tells."""
        prefix = zones.result_prefix(self.project, record.run_id, record.attempt, "prepare")
        try:
            text = Objects(self._platform.client("s3")).read(self._curated, f"{prefix}/{RESULT_FILE}")
        except NotFoundError:
            return ""
        return PrepareResult.model_validate_json(text).contract_hash

    def start(self, question: BacktestQuestion, champion: RunRecord, project: Project, *, name: str, on: str) -> None:
        """Write the question, then create the job, on an instance of type `on`.

        Raises InputError when SageMaker refuses the request.
        """
        platform = self._platform
        place = JobPlace(
            environment=platform.environment,
            zones={"curated": self._curated, "models": platform.resource("models-bucket")},
            image_uri=platform.resource("training-image"),
            role_arn=platform.resource("judge-role"),
            kms_key_arn=platform.resource("data-key"),
            prepare_instance_type=on,
            vpc=json.loads(platform.resource("jobs-vpc")),
        )
        run = RunRef(
            project=self.project,
            run_id=champion.run_id,
            attempt=champion.attempt,
            project_uri=str(champion.project_uri),
        )
        key = f"{zones.backtest_prefix(self.project, name)}/question/{QUESTION_FILE}"
        Objects(platform.client("s3")).write(self._curated, key, question.model_dump_json(indent=2).encode())
        trained = _training_job(champion)
        request = backtest_job(place, run, project, name=name, training_job=trained, dataset_id=question.dataset_id)
        try:
            with translated(f"processing job {name}"):
                platform.client("sagemaker").create_processing_job(**request)
        except ClientError as error:
            raise InputError(f"SageMaker refuses the processing job: {error}") from error

    def describe(self, job: str) -> dict[str, Any]:
        """Return SageMaker's description of a back-test.

        Raises NotFoundError when there is none of that name.
        """
        try:
            with translated(f"processing job {job}"):
                return dict(self._platform.client("sagemaker").describe_processing_job(ProcessingJobName=job))
        except ClientError as error:
            if "Could not find" in str(error):
                raise NotFoundError(f"{self.project} has no back-test {job}.") from error
            raise

    def events(self, job: str, since: datetime | None = None) -> Iterator[dict[str, Any]]:
        """Yield what a job told of its progress."""
        for line in self._platform.log_lines(LOG_GROUP, prefix=f"{job}/", since=since):
            try:
                told = json.loads(line.text) if line.text.startswith("{") else None
            except json.JSONDecodeError:
                continue
            if isinstance(told, dict) and "event" in told:
                yield told

    def result(self, job: str) -> tuple[BacktestResult, str]:
        """Return what a job that has ended found, and where that lies.

        Raises NotFoundError when it left nothing.
        """
        prefix = f"{zones.backtest_prefix(self.project, job)}/result"
        text = Objects(self._platform.client("s3")).read(self._curated, f"{prefix}/{RESULT_FILE}")
        return BacktestResult.model_validate_json(text), zones.s3_uri(self._curated, f"{prefix}/")


def _training_job(champion: RunRecord) -> str:
    job = next((stage.job_name for stage in champion.stages if stage.stage == "train"), None)
    if job is None:
        raise InputError(f"Run {champion.run_id} does not say which job trained its model: drop its data again.")
    return job
