"""`passerelle carry` starts once, goes on where it is, and says why it could not begin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from cli.main import cli
from passerelle.aws import carrying
from passerelle.aws.deployed import DeployedPlatform
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import naming
from passerelle.contracts.runs import RunOrigin, RunRecord
from passerelle.errors import BundleError, InputError, JobFailedError, PasserelleError, SettingsError

MOMENT = "2026-11-21T10:00:00.000+00:00"
ORIGIN = RunOrigin(environment="staging", account="222222222222", attempt=1, image_uri="image")


class Prod:
    """An environment that takes models from staging; its machine waits for ever."""

    def __init__(self) -> None:
        self.sfn = boto3.client("stepfunctions")
        states = {"Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}
        definition = json.dumps({"StartAt": "Wait", "States": states})
        role = "arn:aws:iam::123456789012:role/machine"
        made = self.sfn.create_state_machine(name="import", definition=definition, roleArn=role)
        self.machine = made["stateMachineArn"]
        boto3.client("dynamodb").create_table(
            TableName="runs",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        for name, value in {"runs-table": "runs", "import-model": self.machine, "models-from": "staging"}.items():
            parameter = naming.resource_parameter("prod", name)
            boto3.client("ssm").put_parameter(Name=parameter, Value=value, Type="String")
        self.platform = DeployedPlatform.on_aws("prod")

    def start(self, run_id: str = "r1", source: str = "staging") -> carrying.Carrying:
        return carrying.start_carrying(self.platform, "flights", run_id, source)

    def record(self, status: str, **fields: Any) -> RunRecord:
        values = {"attempt": 1, "origin": ORIGIN, "created_at": MOMENT, "updated_at": MOMENT, **fields}
        record = RunRecord.model_validate({"project": "flights", "run_id": "r1", "status": status, **values})
        return RunsTable(boto3.client("dynamodb"), "runs").save(record)

    def executions(self) -> list[str]:
        return sorted(item["name"] for item in self.sfn.list_executions(stateMachineArn=self.machine)["executions"])


@pytest.fixture
def prod(monkeypatch: pytest.MonkeyPatch) -> Iterator[Prod]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield Prod()


def test_asked_twice_it_is_carried_once(prod: Prod) -> None:
    first = prod.start()
    assert first.attempt == 1
    assert prod.start() == first
    assert prod.executions() == ["flights-r1-1"]
    prod.record("running", execution_arn=first.execution_arn)
    assert prod.start() == first


def test_after_a_failure_the_next_attempt_is_started(prod: Prod) -> None:
    first = prod.start()
    prod.record("failed", execution_arn=first.execution_arn)
    assert prod.start().attempt == 2
    assert prod.executions() == ["flights-r1-1", "flights-r1-2"]


def test_an_attempt_that_ended_before_it_wrote_a_record_is_passed_over(prod: Prod) -> None:
    prod.sfn.stop_execution(executionArn=prod.start().execution_arn)
    assert prod.start().attempt == 2


def test_what_is_served_here_already_is_told_and_nothing_is_started(prod: Prod) -> None:
    prod.record("succeeded")
    done = CliRunner().invoke(cli, ["--env", "prod", "--json", "carry", "flights", "r1", "--from", "staging"])
    assert (done.exit_code, done.exception) == (0, None)
    assert json.loads(done.stdout)["origin"]["environment"] == "staging"
    assert prod.executions() == []


def test_a_model_comes_only_from_where_the_environment_takes_models(prod: Prod) -> None:
    with pytest.raises(InputError, match="takes models from 'staging', not from 'dev'"):
        prod.start(source="dev")
    boto3.client("ssm").delete_parameter(Name=naming.resource_parameter("prod", "models-from"))
    with pytest.raises(SettingsError, match=r"promotion: \{gives_to: \[prod\]\}"):
        prod.start()


def test_a_run_of_the_environment_itself_is_not_carried(prod: Prod) -> None:
    prod.record("succeeded", origin=None)
    with pytest.raises(InputError, match="trained in prod itself"):
        prod.start()


def test_a_carried_run_is_not_retried_as_if_it_had_been_trained_here(prod: Prod) -> None:
    prod.record("failed")
    boto3.client("ssm").put_parameter(Name=naming.project_parameter("prod", "flights"), Value="{}", Type="String")
    done = CliRunner().invoke(cli, ["--env", "prod", "runs", "retry", "r1"])
    assert isinstance(done.exception, InputError)
    assert "carry flights r1 --from staging" in str(done.exception)


@pytest.mark.parametrize(
    ("error", "cause", "kind", "words"),
    [
        (
            "BundleError",
            '{"errorType": "BundleError", "errorMessage": "model.tar.gz was changed"}',
            BundleError,
            "changed",
        ),
        ("States.Timeout", "too slow", JobFailedError, "too slow"),
        ("KeyError", '["a"]', JobFailedError, "a"),
    ],
)
def test_what_ended_it_before_it_began_is_told_as_it_was_raised(
    prod: Prod, monkeypatch: pytest.MonkeyPatch, error: str, cause: str, kind: type[PasserelleError], words: str
) -> None:
    started = prod.start()
    ended = {"status": "FAILED", "error": error, "cause": cause}
    monkeypatch.setattr(prod.platform.client("stepfunctions"), "describe_execution", lambda **_: ended)
    with pytest.raises(kind, match=words):
        carrying.await_record(prod.platform, "flights", started)
