"""What a person can do with a deployed environment: drop files, follow runs, read logs, ask for predictions.

Everything goes through AWS's APIs, on the laptop (with an endpoint URL) as on AWS.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from passerelle.aws.clients import is_transient
from passerelle.aws.predictions import predict
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import naming
from passerelle.contracts.runs import FINAL_STATUSES, RunRecord
from passerelle.errors import InputError, NotFoundError, SettingsError, TransientError

_ATTEMPTS_PASSED_OVER: Final = 20
_RETRIES: Final = Config(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=3, read_timeout=70)


@dataclass(frozen=True)
class DroppedFile:
    """One uploaded object of the raw zone."""

    path: str
    bucket: str
    key: str
    version_id: str | None
    size: int


@dataclass(frozen=True)
class LogLine:
    """One line of a log stream; `moment` in UTC."""

    moment: datetime
    stream: str
    text: str


class DeployedPlatform:
    """One environment, found through its SSM parameters."""

    def __init__(
        self,
        environment: str,
        session: boto3.Session,
        *,
        endpoint_url: str | None = None,
        authority: str | None = None,
    ) -> None:
        self.environment = environment
        self._session = session
        self._endpoint_url, self._authority = endpoint_url, authority
        self._clients: dict[str, Any] = {}

    @classmethod
    def on_laptop(
        cls, endpoint_url: str, *, region: str, keys: tuple[str, str] = ("test", "test"), authority: str | None = None
    ) -> DeployedPlatform:
        """Talk to the embedded AWS, never to a real account, whatever credentials the machine has.

        `keys` are an access key and its secret, `authority` the file of the certificate authority to trust.
        """
        session = boto3.Session(aws_access_key_id=keys[0], aws_secret_access_key=keys[1], region_name=region)
        return cls("laptop", session, endpoint_url=endpoint_url, authority=authority)

    @classmethod
    def on_aws(cls, environment: str) -> DeployedPlatform:
        """Use the caller's own credentials and region.

        Raises SettingsError when there are none.
        """
        session = boto3.Session()
        if session.get_credentials() is None or session.region_name is None:
            raise SettingsError(
                f"No AWS credentials or region for environment {environment!r}. "
                "Log in (for example `aws sso login`) and set AWS_PROFILE and AWS_REGION."
            )
        return cls(environment, session)

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service; made once."""
        if service not in self._clients:
            # What the machine's own AWS_CA_BUNDLE trusts is for real accounts.
            self._clients[service] = self._session.client(
                service, endpoint_url=self._endpoint_url, config=_RETRIES, verify=self._authority
            )
        return self._clients[service]

    def patient_client(self, service: str, seconds: int) -> Any:
        """Return a boto3 client that waits so long for an answer, and asks once: what takes long is not begun twice."""
        config = Config(read_timeout=seconds, retries={"total_max_attempts": 1})
        return self._session.client(service, endpoint_url=self._endpoint_url, config=config, verify=self._authority)

    def caller(self) -> str:
        """Return the ARN that AWS knows the caller by."""
        with refusals_translated(self.environment):
            return str(self.client("sts").get_caller_identity()["Arn"])

    # Resources

    def resource(self, name: str) -> str:
        """Return the identifier of a deployed resource such as `raw-bucket`.

        Raises SettingsError when the environment is not deployed, TransientError when it does not answer.
        """
        return self.parameter(naming.resource_parameter(self.environment, name))

    def projects(self) -> list[str]:
        """Return the names of the deployed projects, sorted."""
        path = naming.project_parameter(self.environment, "")
        with refusals_translated(self.environment):
            pages = self.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=path.rstrip("/"))
            return sorted(parameter["Name"].rsplit("/", 1)[1] for page in pages for parameter in page["Parameters"])

    def need_project(self, project: str) -> None:
        """Raise NotFoundError when the project is not deployed."""
        deployed = self.projects()
        if project not in deployed:
            known = ", ".join(deployed) or "none"
            raise NotFoundError(
                f"Project {project!r} is not deployed in {self.environment} (deployed: {known}). "
                f"Write projects/{project}/project.yaml and run `passerelle deploy`."
            )

    def parameter(self, name: str) -> str:
        """Return the value of a parameter that a deployment wrote."""
        try:
            with refusals_translated(self.environment):
                return str(self.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
        except NotFoundError as error:
            raise SettingsError(
                f"Environment {self.environment!r} is not deployed (no SSM parameter {name}). Run `passerelle deploy`."
            ) from error

    # Data

    def drop(
        self, project: str, paths: Sequence[Path], *, progress: Callable[[int], None] = lambda _: None
    ) -> list[DroppedFile]:
        """Upload files to the project's folder of the raw zone; `progress` gets the bytes sent since its last call."""
        self.need_project(project)
        for path in paths:
            if not path.is_file():
                raise InputError(f"{path}: no such file. Name existing files; folders are not dropped.")
        bucket = self.resource("raw-bucket")
        return [self._upload(bucket, f"{project}/{path.name}", path, progress) for path in paths]

    def _upload(self, bucket: str, key: str, path: Path, progress: Callable[[int], None]) -> DroppedFile:
        s3 = self.client("s3")
        with refusals_translated(self.environment):
            s3.upload_file(
                str(path), bucket, key, Callback=progress, Config=TransferConfig(multipart_threshold=64 * 1024**2)
            )
            head = s3.head_object(Bucket=bucket, Key=key)
        return DroppedFile(str(path), bucket, key, head.get("VersionId"), int(head["ContentLength"]))

    # Runs

    @cached_property
    def runs_table(self) -> RunsTable:
        return RunsTable(self.client("dynamodb"), self.resource("runs-table"))

    def runs(self, project: str | None = None, *, limit: int = 20) -> list[RunRecord]:
        """Return the newest runs first, of one project or of all."""
        with refusals_translated(self.environment):
            projects = [project] if project else self.projects()
            records = [record for name in projects for record in self.runs_table.newest(name, limit=limit)]
        return sorted(records, key=lambda record: record.created_at, reverse=True)[:limit]

    def find_run(self, run_id: str) -> RunRecord:
        """Return a run by its id or an unambiguous part of it; `latest` is the newest.

        Raises NotFoundError naming the newest runs.
        """
        records = self.runs(limit=200)
        matches = records[:1] if run_id == "latest" else [record for record in records if run_id in record.run_id]
        if len(matches) == 1:
            return matches[0]
        shown = ", ".join(record.run_id for record in (matches or records)[:5]) or "none yet"
        problem = "is ambiguous" if matches else "does not exist"
        raise NotFoundError(f"Run {run_id!r} {problem}. Runs: {shown}. `passerelle runs` lists them.")

    def retry(self, run: RunRecord) -> RunRecord:
        """Start the next attempt of a run that failed, with the same files.

        An attempt that ended before it could write itself into the run's record is passed over: its name is taken.

        Raises InputError when the run is still at work or did what it should.
        """
        if run.status not in FINAL_STATUSES:
            raise InputError(f"Run {run.run_id} is {run.status}; wait for its end, or stop its execution first.")
        if run.status != "failed":
            raise InputError(f"Run {run.run_id} is {run.status}, which no retry would change. Drop new data instead.")
        for attempt in range(run.attempt + 1, run.attempt + _ATTEMPTS_PASSED_OVER):
            if self._start_attempt(run, attempt):
                return run.model_copy(update={"attempt": attempt, "status": "collecting", "error": None})
        raise InputError(
            f"Attempts {run.attempt + 1} to {attempt} of run {run.run_id} all ended at once. "
            "`passerelle logs lambda gather_drop` shows why."
        )

    def _start_attempt(self, run: RunRecord, attempt: int) -> bool:
        """Start one attempt, or find it running; returns False when it has ended."""
        step_functions = self.client("stepfunctions")
        with refusals_translated(self.environment):
            try:
                step_functions.start_execution(
                    stateMachineArn=self.resource("training-pipeline"),
                    name=naming.execution_name(run.project, run.run_id, attempt),
                    input=json.dumps({"project": run.project, "run_id": run.run_id, "attempt": attempt}),
                )
            except step_functions.exceptions.ExecutionAlreadyExists:
                return False
        return True

    def execution_status(self, arn: str) -> str:
        """Return the status of a Step Functions execution."""
        with refusals_translated(self.environment):
            return str(self.client("stepfunctions").describe_execution(executionArn=arn)["status"])

    # Logs

    def log_lines(self, group: str, *, prefix: str = "", since: datetime | None = None) -> Iterator[LogLine]:
        """Yield the lines of a log group in the order of their time; nothing when the group does not exist."""
        request: dict[str, Any] = {"logGroupName": group, "startTime": int(since.timestamp() * 1000) if since else 0}
        if prefix:
            request["logStreamNamePrefix"] = prefix
        try:
            with refusals_translated(self.environment):
                for page in self.client("logs").get_paginator("filter_log_events").paginate(**request):
                    for event in page["events"]:
                        if not event.get("logStreamName", "").startswith(prefix):
                            continue  # MiniStack 1.5 does not heed logStreamNamePrefix
                        moment = datetime.fromtimestamp(event["timestamp"] / 1000).astimezone()
                        yield LogLine(moment, event.get("logStreamName", ""), event["message"].rstrip("\n"))
        except NotFoundError:
            return

    # Predictions

    def predict(
        self, project: str, body: bytes, *, content_type: str, accept: str = "application/json", explain: bool = False
    ) -> bytes:
        """Ask the project's endpoint; returns the container's answer, with `explain` also what the columns did.

        Raises InputError with the container's own message for a bad row, TransientError while the endpoint sleeps.
        """
        try:
            return predict(
                self.client("sagemaker-runtime"),
                body,
                endpoint=naming.endpoint_name(self.environment, project),
                component=naming.component_name(self.environment, project),
                content_type=content_type,
                accept=accept,
                explain=explain,
            )
        except BotoCoreError as error:
            raise _unreachable(self.environment, error) from error

    def endpoint_status(self, project: str) -> dict[str, Any] | None:
        """Return SageMaker's description of the project's endpoint, or None when there is none."""
        name = naming.endpoint_name(self.environment, project)
        try:
            return dict(self.client("sagemaker").describe_endpoint(EndpointName=name))
        except ClientError as error:
            if "Could not find" in str(error):
                return None
            raise
        except BotoCoreError as error:
            raise _unreachable(self.environment, error) from error


def _unreachable(environment: str, error: Exception) -> TransientError:
    remedy = "Start it with `passerelle up`." if environment == "laptop" else "Check network, region and credentials."
    return TransientError(f"The {environment} platform does not answer: {error}. {remedy}")


@contextmanager
def refusals_translated(environment: str) -> Iterator[None]:
    """Translate botocore's errors: what is missing → NotFoundError, what does not answer → TransientError."""
    try:
        yield
    except BotoCoreError as error:
        raise _unreachable(environment, error) from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("ParameterNotFound", "ResourceNotFoundException", "ExecutionDoesNotExist", "NoSuchBucket"):
            raise NotFoundError(str(error)) from error
        if is_transient(error):
            raise TransientError(f"{error}. Try again in a while.") from error
        raise InputError(str(error)) from error
