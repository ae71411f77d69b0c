"""The whole platform as its users have it: started and deployed by the command line, driven through AWS's APIs."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import boto3
import pandas as pd
from botocore.config import Config

from passerelle.domain.predictions import once

ROOT: Final = Path(__file__).resolve().parents[2]
FINAL: Final = ("succeeded", "refused", "rejected", "duplicate", "kept", "failed")
#: A wait that ends a test when the platform hangs; no test asserts how long anything takes.
PATIENCE_SECONDS: Final = 600


@dataclass(frozen=True)
class DeployedLaptop:
    """A platform of its own: home, ports, projects."""

    home: Path
    port: int
    mlflow_port: int
    projects: Path

    @property
    def environment(self) -> dict[str, str]:
        # The width of whatever terminal the tests were started from must not cut tables.
        unlike_a_user = ("AWS_", "PASSERELLE_", "COV_", "COLUMNS")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(unlike_a_user)}
        return kept | {
            "PASSERELLE_HOME": str(self.home),
            "PASSERELLE_PORT": str(self.port),
            "PASSERELLE_MLFLOW_PORT": str(self.mlflow_port),
        }

    def passerelle(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command line as a user does."""
        command = [sys.executable, "-m", "cli.main", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=600)
        if check and done.returncode:
            raise AssertionError(
                f"passerelle {' '.join(arguments)} gave {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
            config=Config(retries={"mode": "standard", "max_attempts": 5}, read_timeout=70),
        )

    def resource(self, name: str) -> str:
        parameter = f"/passerelle/laptop/resources/{name}"
        return str(self.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"])

    @cached_property
    def raw_bucket(self) -> str:
        return self.resource("raw-bucket")

    @cached_property
    def table(self) -> str:
        return self.resource("runs-table")

    def drop(self, key: str, body: bytes) -> str:
        """Put an object into the raw zone; returns its version."""
        return str(self.client("s3").put_object(Bucket=self.raw_bucket, Key=key, Body=body)["VersionId"])

    def runs(self, project: str) -> list[dict[str, Any]]:
        """Return a project's runs as their records say, oldest first."""
        answer = self.client("dynamodb").query(
            TableName=self.table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :run)",
            ExpressionAttributeValues={":pk": {"S": f"PROJECT#{project}"}, ":run": {"S": "RUN#"}},
            ConsistentRead=True,
        )
        return [json.loads(item["record"]["S"]) for item in answer["Items"]]

    def run_of(self, project: str, key: str, version: str) -> dict[str, Any]:
        """Wait until the run that took an object has ended; returns its record."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        found: list[dict[str, Any]] = []
        while time.monotonic() < deadline:
            found = [
                run
                for run in self.runs(project)
                if any(file["key"] == key and file["version_id"] == version for file in run["files"])
            ]
            if found and found[0]["status"] in FINAL:
                return found[0]
            time.sleep(0.5)
        raise AssertionError(f"no ended run for {key}: {[(run['run_id'], run['status']) for run in found]}")

    def await_stage(self, project: str, stage: str) -> dict[str, Any]:
        """Wait until a stage of the project's newest run is running; returns the stage."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for part in self.runs(project)[-1]["stages"] if self.runs(project) else ():
                if part["stage"] == stage and part["status"] == "running":
                    return dict(part)
            time.sleep(0.1)
        raise AssertionError(f"{project} never reached {stage}")

    def await_training(self, job: str) -> None:
        """Wait until a training job's container runs."""
        sagemaker, deadline = self.client("sagemaker"), time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                if sagemaker.describe_training_job(TrainingJobName=job)["SecondaryStatus"] == "Training":
                    return
            except sagemaker.exceptions.ClientError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"{job} never reached Training")

    def read_json(self, uri: str) -> Any:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return json.loads(self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())

    def mlflow(self, place: str, **query: str) -> bytes:
        """Return what the MLflow server answers to a GET."""
        url = f"http://127.0.0.1:{self.mlflow_port}/{place}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bytes(answer.read())

    def mlflow_artefacts(self, run: dict[str, Any], folder: str) -> set[str]:
        """Return the paths in a folder of a run's artefacts."""
        answer = self.mlflow("api/2.0/mlflow/artifacts/list", run_id=run["mlflow_url"].rsplit("/", 1)[-1], path=folder)
        return {file["path"] for file in json.loads(answer).get("files", ())}

    def predict(self, project: str, records: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=f"passerelle-laptop-{project}",
            ContentType="application/json",
            Body=json.dumps({"dataframe_records": records, **options}).encode(),
        )
        return dict(json.loads(answer["Body"].read()))

    def delivered(self, project: str) -> pd.DataFrame:
        """Return the rows of all files of recorded predictions; one prediction may be in two of them."""
        s3, bucket = self.client("s3"), self.resource("predictions-bucket")
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{project}/records/").get("Contents", [])
        bodies = [s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in listed]
        frames = [pd.read_parquet(io.BytesIO(body)) for body in bodies]
        return pd.concat(frames) if frames else pd.DataFrame(columns=["entity_id"])

    def recorded(self, project: str, entities: Iterable[str], count: int) -> pd.DataFrame:
        """Wait until so many predictions for entities are recorded; returns each once."""
        wanted, deadline = list(entities), time.monotonic() + 90
        while True:
            delivered = self.delivered(project)
            rows = delivered[delivered["entity_id"].isin(wanted)]
            found = rows if rows.empty else once(rows)
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"{len(found)} of {count} predictions are recorded"
            time.sleep(0.5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
