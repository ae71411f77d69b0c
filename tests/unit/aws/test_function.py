"""What every handler shares: settings from the environment, logs that say what happened, errors under their own names."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from passerelle.aws.function import handler
from passerelle.errors import SettingsError, TransientError
from passerelle.settings import CloseRunSettings
from tests.laptop_platform import unique

EVENT = {"project": "flights", "run_id": "r1", "attempt": 1, "status": "passed"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CloseRunSettings(environment="laptop", runs_table="runs").to_env().items():
        monkeypatch.setenv(name, value)


def _call(function: Any, capsys: pytest.CaptureFixture[str]) -> tuple[Any, list[dict[str, Any]]]:
    """Call a function as a handler; returns its answer or error, and the structured log lines."""
    wrapped = handler(unique("testing"), CloseRunSettings)(function)  # a logger keeps the stream of its first use
    try:
        answer = wrapped(EVENT, SimpleNamespace())
    except Exception as error:
        answer = error
    lines = capsys.readouterr().out.splitlines()
    return answer, [json.loads(line) for line in lines if line.startswith("{")]


@pytest.mark.usefixtures("environment")
def test_an_answer_is_logged_with_the_runs_fields_and_without_what_is_large(capsys: Any) -> None:
    answer, (line,) = _call(lambda event, settings, _: {"table": settings.runs_table, "request": {"large": 1}}, capsys)
    assert answer == {"table": "runs", "request": {"large": 1}}
    assert (line["level"], line["project"], line["run_id"], line["attempt"]) == ("INFO", "flights", "r1", 1)
    assert line["answer"] == {"table": "runs"}


@pytest.mark.usefixtures("environment")
def test_an_error_of_ours_keeps_its_class_by_which_step_functions_retries(capsys: Any) -> None:
    def fail(*_: Any) -> Any:
        raise TransientError("MLflow is down")

    answer, (line,) = _call(fail, capsys)
    assert type(answer) is TransientError
    assert (line["level"], line["error"], line["message"]) == ("WARNING", "TransientError", "MLflow is down")
    assert "exception" not in line


@pytest.mark.usefixtures("environment")
def test_a_defect_is_logged_with_its_traceback(capsys: Any) -> None:
    def fail(*_: Any) -> Any:
        return {}["missing"]

    answer, (line,) = _call(fail, capsys)
    assert type(answer) is KeyError
    assert (line["level"], line["exception_name"]) == ("ERROR", "KeyError")
    assert "Traceback" in line["exception"]


def test_a_function_without_settings_says_which_are_missing(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PASSERELLE_ENVIRONMENT", "PASSERELLE_RUNS_TABLE"):
        monkeypatch.delenv(name, raising=False)
    answer, _ = _call(lambda *_: {}, capsys)
    assert type(answer) is SettingsError
    assert "PASSERELLE_RUNS_TABLE is missing" in str(answer)
