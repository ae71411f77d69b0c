"""promote and rollback as commands: which version they choose, what they refuse, and what they ask Step Functions for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result
from moto import mock_aws

from cli.failures import RunNotServedError
from cli.main import cli
from passerelle.aws import deployments
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import naming
from passerelle.contracts.promotions import PREFIX, Asked, How, Promotion
from passerelle.contracts.runs import RunRecord, StageRecord
from passerelle.errors import InputError, NotFoundError, TransientError

MOMENT = "2026-11-21T10:00:00.000+00:00"


def _run_id(number: int) -> str:
    return f"r2026112110000{number}-abcdef"


class Prod:
    """An environment with four runs: versions 1 and 2 were served, 3 was refused, 4 passed and was never served."""

    def __init__(self) -> None:
        self.states, self.s3 = boto3.client("stepfunctions"), boto3.client("s3")
        definition = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}}
        made = self.states.create_state_machine(
            name="deploy", definition=json.dumps(definition), roleArn="arn:aws:iam::123456789012:role/machine"
        )
        self.machine = made["stateMachineArn"]
        boto3.client("dynamodb").create_table(
            TableName="runs",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        self.table = RunsTable(boto3.client("dynamodb"), "runs")
        self.s3.create_bucket(Bucket="models")
        found = {"runs-table": "runs", "deploy-model": self.machine, "models-bucket": "models"}
        names = {naming.resource_parameter("prod", name): value for name, value in found.items()}
        for name, value in {**names, naming.project_parameter("prod", "flights"): "{}"}.items():
            boto3.client("ssm").put_parameter(Name=name, Value=value, Type="String")
        for number in (1, 2, 3, 4):
            self.register(number, gate="refused" if number == 3 else "passed", served=number < 3)
        self.promoted("1", "run")
        self.promoted("2", "run")

    def register(self, number: int, *, gate: str, served: bool, status: str = "succeeded") -> None:
        job = f"flights-{_run_id(number)}-train-1"
        self.s3.put_object(Bucket="models", Key=f"flights/training/{job}/output/model.tar.gz", Body=b"")
        self.table.save(
            RunRecord.model_validate(
                {
                    "project": "flights", "run_id": _run_id(number), "attempt": 1, "status": status,
                    "created_at": MOMENT, "updated_at": MOMENT, "gate": {"status": gate}, "model_version": str(number),
                    "stages": (StageRecord(stage="train", status="done", started_at=MOMENT, job_name=job),),
                    "endpoint_name": "e" if served else None,
                }
            )
        )  # fmt: skip

    def promoted(self, version: str, how: How, **asked: str) -> None:
        """Write down what the deployment of a version writes down."""
        before, count = self.table.item("flights", "CHAMPION") or {}, len(self.table.items("flights", PREFIX))
        promotion = Promotion(
            version=version, run_id=_run_id(int(version)), at=f"2026-11-2{count}T00:00:00.000+00:00",
            asked=Asked(how=how, **asked), before=before.get("model_version"),
        )  # fmt: skip
        self.table.put("flights", f"{PREFIX}{promotion.at}", promotion=promotion.model_dump_json())
        uri = f"s3://models/flights/training/flights-{_run_id(int(version))}-train-1/output/model.tar.gz"
        self.table.put("flights", "CHAMPION", model_version=version, model_data_url=uri)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["--env", "prod", "--json", *words])

    def started(self, *words: str) -> dict[str, Any]:
        """Return what the deploy state machine was asked for."""
        done = self.run(*words, "--no-wait")
        assert (done.exit_code, done.exception) == (0, None), done.output
        (item,) = self.executions()
        found = self.states.describe_execution(executionArn=item["executionArn"])
        return dict(json.loads(found["input"]))

    def executions(self) -> list[dict[str, Any]]:
        return list(self.states.list_executions(stateMachineArn=self.machine)["executions"])


@pytest.fixture
def prod(monkeypatch: pytest.MonkeyPatch) -> Iterator[Prod]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield Prod()


def test_rollback_comes_back_to_the_champion_before_and_says_who_and_why(prod: Prod) -> None:
    request = prod.started("rollback", "flights", "--reason", "wrong prices")
    assert (request["model_version"], request["run_id"]) == ("1", _run_id(1))
    assert request["model_data_url"].endswith(f"flights-{_run_id(1)}-train-1/output/model.tar.gz")
    assert request["asked"]["how"] == "rollback"
    assert request["asked"]["reason"] == "wrong prices"
    assert request["asked"]["by"].startswith("arn:aws:sts::123456789012:")


def test_promote_takes_the_newest_accepted_version_that_was_never_served(prod: Prod) -> None:
    request = prod.started("promote", "flights")
    assert (request["model_version"], request["asked"]["how"]) == ("4", "promote")


@pytest.mark.parametrize("words", [("--version", "4"), ("--run", _run_id(4)[:15])])
def test_a_version_is_named_by_its_number_or_its_run(prod: Prod, words: tuple[str, str]) -> None:
    assert prod.started("promote", "flights", *words)["model_version"] == "4"


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (("promote", "flights", "--version", "3", "--reason", "I know better"), InputError, "gate refused version 3"),
        (("promote", "flights", "--run", _run_id(3)), InputError, "gate refused version 3"),
        (("promote", "flights", "--version", "2"), InputError, "Version 2 of flights is the champion already"),
        (("promote", "flights", "--version", "9"), NotFoundError, "no registered version 9"),
        (("promote", "flights", "--run", "r2026"), NotFoundError, "'r2026' of flights is ambiguous"),
        (("promote", "flights", "--run", "r1999"), NotFoundError, "'r1999' of flights does not exist"),
        (("rollback", "flights", "--to", "2"), InputError, "is the champion already"),
        (("rollback", "flights", "--to", "3"), InputError, "gate refused version 3"),
        (("rollback", "flights", "--to", "4"), InputError, "never served.* `passerelle promote flights --version 4`"),
        (("rollback", "trains"), NotFoundError, "'trains' is not deployed"),
    ],
)
def test_what_may_not_be_served_starts_nothing(
    prod: Prod, words: tuple[str, ...], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        raise prod.run(*words).exception or AssertionError("it was not refused")
    assert prod.executions() == []


def test_rolled_back_twice_it_never_returns_to_what_was_given_up(prod: Prod) -> None:
    prod.promoted("1", "rollback")
    with pytest.raises(NotFoundError, match="No model of flights was served before version 1"):
        raise prod.run("rollback", "flights").exception or AssertionError
    assert prod.started("promote", "flights", "--version", "2")["model_version"] == "2"


def test_promote_guesses_nothing_among_versions_that_were_served(prod: Prod) -> None:
    prod.register(4, gate="passed", served=True)
    with pytest.raises(NotFoundError, match=r"\(1, 2, 4\) was served before. Name the one"):
        raise prod.run("promote", "flights").exception or AssertionError


def test_a_champion_of_an_earlier_release_is_gone_back_to(prod: Prod) -> None:
    for item in prod.table.items("flights", PREFIX):
        prod.table.delete("flights", item["sk"])
    assert prod.started("rollback", "flights")["model_version"] == "1"


def test_the_list_tells_every_version_and_which_one_a_rollback_comes_to(prod: Prod) -> None:
    prod.register(5, gate="passed", served=True)
    prod.promoted("5", "promote", by="arn:someone", reason="the quarter ends")
    rows = {row["version"]: row for row in json.loads(prod.run("rollback", "flights", "--list").stdout)}
    assert list(rows) == ["5", "4", "3", "2", "1"]
    assert [version for version, row in rows.items() if row["champion"]] == ["5"]
    assert [version for version, row in rows.items() if row["back"]] == ["2"]
    assert (rows["5"]["by"], rows["5"]["reason"]) == ("arn:someone", "the quarter ends")
    assert (rows["3"]["gate"], rows["3"]["served"]) == ("refused", False)
    # Whatever width another test has left in the environment.
    shown = CliRunner().invoke(cli, ["--env", "prod", "rollback", "flights", "--list"], env={"COLUMNS": "200"}).stdout
    assert "the quarter ends" in shown
    assert prod.executions() == []


def test_a_dry_run_says_what_would_be_served_or_why_nothing_and_starts_nothing(prod: Prod) -> None:
    done = prod.run("rollback", "flights", "--dry-run")
    told = json.loads(done.stdout)
    assert (told["model_version"], told["before"], told["served"], told["execution_arn"]) == ("1", "2", False, None)
    assert f"Nothing stands against serving flights version 1 (run {_run_id(1)})" in done.stderr
    prod.s3.delete_object(Bucket="models", Key=f"flights/training/flights-{_run_id(4)}-train-1/output/model.tar.gz")
    with pytest.raises(NotFoundError, match="is gone"):
        raise prod.run("promote", "flights", "--dry-run").exception or AssertionError
    assert prod.executions() == []


def test_a_run_tells_when_its_model_became_champion_and_who_took_it_back_and_why(prod: Prod) -> None:
    prod.promoted("1", "rollback", by="arn:someone", reason="wrong [prices]")
    told = json.loads(prod.run("runs", "show", _run_id(2)).stdout)
    assert [(item["version"], item["before"]) for item in told["promotions"]] == [("2", "1"), ("1", "2")]
    assert json.loads(prod.run("runs", "show", _run_id(4)).stdout)["promotions"] == []
    shown = CliRunner().invoke(cli, ["--env", "prod", "runs", "show", _run_id(2)]).stdout
    assert "Version 2 became champion after version 1 (run)" in shown
    assert "Version 2 gave way to version 1 (rollback by arn:someone: wrong [prices])" in shown


@pytest.mark.parametrize("words", [("promote",), ("rollback",), ("redeploy",)])
def test_what_aws_refuses_the_caller_is_no_defect_of_the_command(
    prod: Prod, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no dynamodb:Query"}}, "Query")

    monkeypatch.setattr(RunsTable, "items", refused)
    with pytest.raises(InputError, match="no dynamodb:Query"):
        raise prod.run(*words, "flights").exception or AssertionError


def test_of_two_deployments_of_a_project_the_second_is_refused_and_of_two_projects_none(prod: Prod) -> None:
    prod.states.start_execution(stateMachineArn=prod.machine, name=f"flights-eu-{_run_id(1)}-1", input="{}")
    assert prod.run("rollback", "flights", "--no-wait").exit_code == 0
    with pytest.raises(TransientError, match=r"deployment of flights is at work.*stop-execution --execution-arn arn:"):
        raise prod.run("promote", "flights").exception or AssertionError


def test_a_run_at_work_is_told_as_it_may_deploy_its_model_too(prod: Prod) -> None:
    prod.register(5, gate="passed", served=False, status="running")
    done = prod.run("rollback", "flights", "--no-wait")
    assert done.exit_code == 0
    assert f"Run {_run_id(5)} is at work" in done.stderr


def test_a_bundle_that_is_gone_or_archived_starts_nothing(prod: Prod) -> None:
    key = f"flights/training/flights-{_run_id(1)}-train-1/output/model.tar.gz"
    prod.s3.put_object(Bucket="models", Key=key, Body=b"", StorageClass="DEEP_ARCHIVE")
    with pytest.raises(InputError, match=r"lies in DEEP_ARCHIVE.*restore-object --bucket models"):
        raise prod.run("rollback", "flights").exception or AssertionError
    prod.s3.delete_object(Bucket="models", Key=key)
    with pytest.raises(NotFoundError, match="is gone"):
        raise prod.run("rollback", "flights").exception or AssertionError
    assert prod.executions() == []


def test_a_deployment_that_fails_is_told_as_a_version_that_is_not_served(
    prod: Prod, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = deployments.start_deployment

    def aborted(states: Any, machine: str, request: dict[str, Any]) -> deployments.Deployment:
        started = start(states, machine, request)
        states.stop_execution(executionArn=started.execution_arn)
        return started

    monkeypatch.setattr(deployments, "start_deployment", aborted)
    with pytest.raises(RunNotServedError, match="Version 1 of flights is not served: its deployment aborted"):
        raise prod.run("rollback", "flights").exception or AssertionError


def test_a_challenger_that_its_shadow_refused_is_told_as_not_served_though_its_execution_succeeded(
    prod: Prod, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = {"project": "flights", "status": "refused", "verdict": "it has shown that it must not take over: worse"}

    class Ended:
        def describe_execution(self, **_: str) -> dict[str, str]:
            return {"status": "SUCCEEDED", "output": json.dumps(ended)}

    wait = deployments.await_deployment
    monkeypatch.setattr(deployments, "await_deployment", lambda _, *given: wait(Ended(), *given))
    with pytest.raises(RunNotServedError, match=r"4 of flights is not served: after its shadow, it has shown.*worse"):
        raise prod.run("promote", "flights").exception or AssertionError
