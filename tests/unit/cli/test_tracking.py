"""`passerelle tracking`: where MLflow is, or the session that reaches it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.commands.tracking import tracking
from cli.session import Session
from passerelle.aws.tracking_tasks import session_target
from passerelle.errors import SettingsError, TransientError


class Ecs:
    """A cluster with one task, or none."""

    def __init__(self, *states: str) -> None:
        self.states = states

    def list_tasks(self, **request: Any) -> dict[str, Any]:
        assert request == {"cluster": "c", "serviceName": "s", "desiredStatus": "RUNNING"}
        return {"taskArns": [f"arn:aws:ecs:us-east-1:1:task/c/t{n}" for n, _ in enumerate(self.states)]}

    def describe_tasks(self, *, cluster: str, tasks: list[str]) -> dict[str, Any]:
        return {
            "tasks": [
                {"taskArn": arn, "containers": [{"name": "mlflow", "runtimeId": f"{arn[-2:]}-1", "lastStatus": state}]}
                for arn, state in zip(tasks, self.states, strict=True)
            ]
        }


class Platform:
    """What the command asks of a deployed environment."""

    def __init__(self, door: str) -> None:
        self.found = {
            "tracking-door": door, "tracking-cluster": "c", "tracking-service": "s", "tracking-admin-secret": "secret",
        }  # fmt: skip

    def resource(self, name: str) -> str:
        return self.found[name]

    def client(self, service: str) -> Ecs:
        assert service == "ecs"
        return Ecs("RUNNING")


def _run(platform: Platform, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    session = Session(environment="dev", as_json=True)
    object.__setattr__(session, "platform", platform)
    tracking.main(args=arguments, obj=session, standalone_mode=False)
    return capsys.readouterr().out


def test_a_load_balancers_address_is_all_there_is_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(_run(Platform("https://mlflow.example.com"), [], capsys)) == {"url": "https://mlflow.example.com"}


def test_without_one_the_session_with_the_running_task_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(_run(Platform("session"), ["--port", "5055", "--print"], capsys))
    assert answer["url"] == "http://127.0.0.1:5055"
    assert answer["admin_secret"] == "secret"
    assert answer["command"][:5] == ["aws", "ssm", "start-session", "--target", "ecs:c_t0_t0-1"]
    assert "portNumber=5000,localPortNumber=5055" in answer["command"]


def test_programs_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    session = Session(environment="dev")
    object.__setattr__(session, "platform", Platform("session"))
    with pytest.raises(SettingsError, match="Not installed: aws, session-manager-plugin"):
        tracking.main(args=[], obj=session, standalone_mode=False)


def test_a_task_that_still_starts_is_passed_over() -> None:
    assert session_target(Ecs("PENDING", "RUNNING"), "c", "s", "mlflow") == "ecs:c_t1_t1-1"


@pytest.mark.parametrize("states", [(), ("PENDING",)])
def test_a_server_that_sleeps_is_told_with_the_command_that_wakes_it(states: tuple[str, ...]) -> None:
    with pytest.raises(TransientError, match="update-service --cluster c --service s --desired-count 1"):
        session_target(Ecs(*states), "c", "s", "mlflow")
