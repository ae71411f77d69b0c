"""`passerelle drift` and `retrain`: what windows showed as people and machines read it, and what is asked for by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from cli.main import cli
from passerelle.aws import clients
from passerelle.contracts import naming
from passerelle.contracts.monitoring import WINDOW, Figure
from passerelle.errors import InputError, NotFoundError, TransientError
from passerelle.steps.watch_drift import watch_drift
from tests.unit.steps.watched import FIRST, Watched, day, rows_of
from tests.unit.steps.world import ROLE, Aws


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """An environment whose model has met three quiet days and two of drift."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("COLUMNS", "200")
    clients.client.cache_clear()
    with mock_aws():
        made = Watched(Aws("prod", "prod"))
        made.serve()
        definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
        watch = boto3.client("stepfunctions").create_state_machine(name="watch", definition=definition, roleArn=ROLE)
        found = {
            "runs-table": made.aws.runs_table,
            "watch-project": watch["stateMachineArn"],
            "training-pipeline": made.aws.pipeline,
            "reports-bucket": made.aws.buckets["reports"],
        }
        for name, value in found.items():
            parameter = naming.resource_parameter("prod", name)
            boto3.client("ssm").put_parameter(Name=parameter, Value=value, Type="String")
        yield made
    clients.client.cache_clear()


def _judge(world: Watched) -> None:
    for number in range(5):
        world.record(rows_of(1_000, day(number), shift=0.35 if number > 2 else 0.0), name=f"{number}")
    watch_drift({"project": "flights", "now": (day(5) + timedelta(hours=1)).isoformat()}, world.settings)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--env", "prod", *arguments], catch_exceptions=True)


def test_the_models_worth_is_shown_as_estimated_and_as_labels_show_it_or_why_it_is_not_known(world: Watched) -> None:
    _judge(world)
    first = world.window(FIRST)
    why = "left nothing that says what its errors are like"
    assert why in _run("drift", "flights", "--window", "2026-11-01").output
    figure = Figure(value=0.81, lower=0.78, upper=0.84, before=0.83)
    guessed = first.model_copy(update={"estimated": {"roc_auc": figure}, "unknown": {"realised": "no label"}})
    told = first.model_copy(
        update={"realised": {"roc_auc": figure}, "labelled": 900, "why": "concept", "estimated": {"roc_auc": figure}}
    )
    for number, record in enumerate((guessed, told)):
        name = f"{day(number):%Y-%m-%dT%H:%MZ}"
        moved = record.model_copy(update={"start": day(number).isoformat(), "end": day(number + 1).isoformat()})
        world.aws.table.put("flights", f"{WINDOW}{name}", record=moved.model_dump_json())
    listed = _run("drift", "flights").output
    assert "~0.81" in listed
    assert "~ as estimated, before labels are known" in listed
    one = _run("drift", "flights", "--window", "2026-11-01").output
    assert "roc_auc, estimated: 0.81 (0.78 to 0.84); 0.83 when the model was accepted" in one
    assert "roc_auc, realised: not known: no label" in one
    two = _run("drift", "flights", "--window", "2026-11-02").output
    assert "roc_auc, realised of 900 labelled: 0.81 (0.78 to 0.84)" in two
    assert "changed by concept" in two


def test_windows_are_listed_with_what_moved_over_time_and_what_lasts(world: Watched) -> None:
    _judge(world)
    shown = _run("drift", "flights").output
    lines = shown.splitlines()
    assert [line.split()[0] for line in lines[1:6]] == [f"2026-11-0{number}" for number in (5, 4, 3, 2, 1)]
    assert "moderate" in lines[1]
    assert "quiet" in lines[5]
    (moved,) = [line for line in lines if (line.strip().startswith("distance ") and "█" not in line) or "▃" in line]
    assert "distance" in moved
    assert "Lasts: distance:" in shown.replace("\n", " ")


def test_machines_read_the_same(world: Watched) -> None:
    _judge(world)
    document = json.loads(_run("drift", "flights", "--json", "--limit", "2").output)
    assert [window["severity"] for window in document["windows"]] == ["moderate", "moderate"]
    (incident,) = document["incidents"]
    assert (incident["cause"], incident["columns"]) == ("drift", ["distance"])


def test_one_window_is_shown_whole_by_the_beginning_of_its_name(world: Watched) -> None:
    _judge(world)
    shown = _run("drift", "flights", "--window", "2026-11-05").output
    assert "1,000 predictions of version 4, 1,000 delivered" in shown
    assert "the model's score" in shown
    assert "page" in shown.lower()
    found = json.loads(_run("drift", "flights", "--window", "latest", "--json").output)
    assert found["found"]["drift"]["severity"] == "moderate"


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [("2027", NotFoundError, "The newest: 2026-11-05T00:00"), ("2026", InputError, "5 windows of flights begin with")],
)
def test_a_window_that_is_not_there_or_not_one_is_told_with_those_there_are(
    world: Watched, name: str, error: type[Exception], words: str
) -> None:
    _judge(world)
    result = _run("drift", "flights", "--window", name)
    assert isinstance(result.exception, error)
    assert words in str(result.exception)


def test_a_project_that_was_never_looked_at_says_when_that_begins(world: Watched) -> None:
    assert "No window of flights has been looked at yet" in _run("drift", "flights").output


def _executions(world: Watched) -> list[dict[str, Any]]:
    found = []
    for name in world.aws.executions():
        arn = f"{world.aws.pipeline.replace(':stateMachine:', ':execution:')}:{name}"
        found.append(json.loads(world.aws.sfn.describe_execution(executionArn=arn)["input"]))
    return found


def test_retraining_by_hand_begins_a_run_that_says_who_and_why(world: Watched) -> None:
    world.aws.begin_run("r1", status="succeeded")
    answer = json.loads(_run("retrain", "flights", "--reason", "new columns", "--no-follow", "--json").stdout)
    (asked,) = _executions(world)
    assert (asked["run_id"], asked["attempt"]) == (answer["run_id"], 1)
    assert asked["why"].startswith("by arn:aws:")
    assert asked["why"].endswith(": new columns")


def test_retraining_waits_for_the_run_that_is_at_work(world: Watched) -> None:
    world.aws.begin_run("r2", created_at=FIRST.isoformat())
    result = _run("retrain", "flights", "--no-follow")
    assert isinstance(result.exception, TransientError)
    assert "`passerelle runs follow r" in str(result.exception)
    assert _executions(world) == []


def test_windows_are_drawn_as_pictures(world: Watched, tmp_path: Path) -> None:
    nothing = _run("drift", "flights", "--figure", str(tmp_path / "map.png"))
    assert isinstance(nothing.exception, NotFoundError)
    _judge(world)
    for name, arguments in {"map": (), "window": ("--window", "latest")}.items():
        path = tmp_path / f"{name}.png"
        assert str(path) in _run("drift", "flights", *arguments, "--figure", str(path)).output.replace("\n", "")
        assert path.read_bytes().startswith(b"\x89PNG")
