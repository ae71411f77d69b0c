"""One laptop at the clock of 2013, with a project for each policy; nobody's hand is in it but what callers do."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pandas as pd
import yaml

from laptop.clock import Clock
from passerelle.aws.deployed import DeployedPlatform
from passerelle.aws.monitored import read_monitored
from passerelle.contracts import naming
from passerelle.contracts.runs import FINAL_STATUSES, RunRecord
from passerelle.domain.predictions import once

ROOT: Final = Path(__file__).resolve().parents[1]
#: A wait that ends the benchmark when the platform hangs.
PATIENCE_SECONDS: Final = 900.0
#: The clock is at least this far beyond a stop when what fires then is looked for, and executions begin before that.
_EARLY: Final = timedelta(seconds=10)


@dataclass(frozen=True)
class Look:
    """One execution that looked at a project's windows: what it ended with, and how long it took."""

    project: str
    seconds: float
    output: dict[str, Any]


@dataclass
class YearLaptop:
    """The platform; `projects` are the documents of its projects by name."""

    folder: Path
    projects: dict[str, dict[str, Any]]
    begin: datetime
    port: int = field(default_factory=lambda: _free_port())
    mlflow_port: int = field(default_factory=lambda: _free_port())

    def __post_init__(self) -> None:
        self.clock = Clock(self.folder / "clock", self.begin)
        self._seen: set[str] = set()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start and deploy; afterwards nothing runs any more."""
        for name, document in self.projects.items():
            target = self.folder / "projects" / name / "project.yaml"
            target.parent.mkdir(parents=True)
            target.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        try:
            self._passerelle("up")
            self._passerelle("deploy", "--projects-dir", str(self.folder / "projects"))
            self._listen()
            yield
        finally:
            self._passerelle("down", check=False)

    def _passerelle(self, *words: str, check: bool = True) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PASSERELLE_"))}
        own = {"HOME": self.folder / "home", "PORT": self.port, "MLFLOW_PORT": self.mlflow_port}
        environment = kept | {f"PASSERELLE_{key}": str(value) for key, value in own.items()} | self.clock.environment
        command = [sys.executable, "-m", "cli.main", *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise SystemExit(f"`passerelle {' '.join(words)}` failed:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}")

    @cached_property
    def platform(self) -> DeployedPlatform:
        return DeployedPlatform.on_laptop(f"http://127.0.0.1:{self.port}", region="us-east-1")

    def client(self, service: str) -> Any:
        return self.platform.client(service)

    # What the world does

    def drop(self, files: dict[str, bytes]) -> None:
        """Put files into the raw zone for each project, and wait until the platform has done with them what it does."""
        keys = [f"{project}/{name}" for project in self.projects for name in files]
        for key in keys:
            body, bucket = files[key.partition("/")[2]], self.platform.resource("raw-bucket")
            self.client("s3").put_object(Bucket=bucket, Key=key, Body=body)

        def are_taken() -> bool:
            runs = [run for project in self.projects for run in self.runs(project)]
            return set(keys) <= {file.key for run in runs if run.status in FINAL_STATUSES for file in run.files}

        _wait(are_taken, "the end of the runs that take the dropped files", pause=1.0)
        self.settle()

    def ask(self, project: str, inference_id: str, body: bytes) -> None:
        """Ask a project's champion about the rows of a CSV."""
        self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=naming.endpoint_name("laptop", project),
            ContentType="text/csv",
            InferenceId=inference_id,
            Body=body,
        )["Body"].read()

    def answers(self, project: str, expected: int) -> pd.DataFrame:
        """Wait until so many predictions of this day are recorded; returns each once."""
        bucket, day = self.platform.resource("predictions-bucket"), f"{self.clock.now:%Y-%m-%d}"
        found = pd.DataFrame()

        def are_there() -> bool:
            nonlocal found
            prefix = f"{project}/records/{day}/"
            listed = self.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
            bodies = [self.client("s3").get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in listed]
            found = once(pd.concat([pd.read_parquet(io.BytesIO(body)) for body in bodies])) if bodies else found
            return len(found) >= expected

        _wait(are_there, f"{project}: {expected} predictions of {day}", pause=0.5)
        return found

    # What the platform does by itself

    def move(self, moment: datetime) -> list[Look]:
        """Let it be another moment; returns the looks at windows that its schedules began, once all has come to rest.

        A schedule that is passed more than once fires once.
        """
        before = self.clock.now
        if moment > before:
            self.clock.move(moment)
        midnight = moment.replace(hour=0, minute=20, second=0)
        fires = before < midnight <= moment or moment - before > timedelta(days=1)
        looks = self._looks(moment) if fires else []
        self.settle([look.project for look in looks if look.output.get("status") == "retrain"])
        return looks

    def settle(self, begun: Sequence[str] = ()) -> None:
        """Wait until no run is at work; of `begun` projects one has to have begun since the last time."""

        def at_rest() -> bool:
            runs = {project: self.runs(project) for project in self.projects}
            new = {project for project, found in runs.items() if {run.run_id for run in found} - self._seen}
            busy = any(run.status not in FINAL_STATUSES for found in runs.values() for run in found)
            if busy or not set(begun) <= new:
                return False
            self._seen = {run.run_id for found in runs.values() for run in found}
            return True

        _wait(at_rest, "the end of all runs", pause=1.0)

    def runs(self, project: str) -> list[RunRecord]:
        """Return a project's runs, the oldest first."""
        return sorted(self.platform.runs(project, limit=200), key=lambda run: run.created_at)

    def windows(self, project: str) -> list[dict[str, Any]]:
        """Return what a project's windows showed, the oldest first, with its metric as estimated and as labels show."""
        metric = str(self.projects[project]["task"]["metric"])
        return [
            {
                **{name: getattr(record, name) for name in ("start", "version", "rows", "severity", "line")},
                "estimated": figure.model_dump() if (figure := record.estimated.get(metric)) else None,
                "realised": figure.model_dump() if (figure := record.realised.get(metric)) else None,
            }
            for record in reversed(read_monitored(self.platform, project, limit=400).windows)
        ]

    def _looks(self, moment: datetime) -> list[Look]:
        states, machine = self.client("stepfunctions"), self.platform.resource("watch-project")
        looks: dict[str, Look] = {}

        def all_looked() -> bool:
            newest = states.list_executions(stateMachineArn=machine, maxResults=100)["executions"]
            for execution in newest:
                arn = execution["executionArn"]
                if arn in looks or execution["startDate"] < moment - _EARLY or execution["status"] == "RUNNING":
                    continue
                described = states.describe_execution(executionArn=arn)
                project = json.loads(described["input"])["project"]
                if described["status"] != "SUCCEEDED":
                    raise SystemExit(f"The look at {project} ended as {described['status']}: {described.get('cause')}")
                seconds = (described["stopDate"] - described["startDate"]).total_seconds()
                looks[arn] = Look(project, seconds, json.loads(described["output"]))
            return {look.project for look in looks.values()} == set(self.projects)

        _wait(all_looked, f"a look at all projects' windows at {moment:%Y-%m-%d %H:%M}", pause=0.3)
        return list(looks.values())

    # What people are told

    def _listen(self) -> None:
        sns, sqs = self.client("sns"), self.client("sqs")
        self._queue = sqs.create_queue(QueueName="told-of-the-year")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for topic in ("alerts-notify", "alerts-page"):
            sns.subscribe(TopicArn=self.platform.resource(topic), Protocol="sqs", Endpoint=arn)

    def told(self) -> list[str]:
        """Return the subjects of what people were told since it was last asked."""
        sqs, found = self.client("sqs"), list[str]()
        while messages := sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", ()):
            for message in messages:
                found.append(str(json.loads(message["Body"])["Subject"]))
                sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    def alarms(self) -> set[str]:
        """Return the names of the alarms that ring."""
        pages = self.client("cloudwatch").get_paginator("describe_alarms").paginate(StateValue="ALARM")
        return {alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]}


def _wait(condition: Callable[[], bool], what: str, *, pause: float) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"The platform did not come to this: {what}.")
        time.sleep(pause)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
