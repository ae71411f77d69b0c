"""What the demo does with a run that has ended otherwise than hoped for."""

from __future__ import annotations

import contextlib
from typing import Any

import click
import pytest
from rich.console import Console

from cli.commands import demo
from cli.failures import RunNotServedError
from passerelle.contracts.runs import RunRecord


class Quiet:
    """A session that says nothing."""

    console = Console(quiet=True)


def _ended(status: str) -> RunRecord:
    moment = "2026-01-01T00:00:00+00:00"
    named = {"project": "flights", "run_id": "r1", "attempt": 1, "created_at": moment, "updated_at": moment}
    return RunRecord.model_validate({**named, "status": status})


def _run(monkeypatch: pytest.MonkeyPatch, status: str) -> list[str]:
    asked: list[str] = []

    def predict(session: Any) -> Any:
        asked.append("predict")
        raise click.exceptions.Exit(0)

    monkeypatch.setattr(demo, "start_platform", lambda session: None)
    monkeypatch.setattr("cli.deployment.deploy_environment", lambda session: None)
    monkeypatch.setattr(demo, "finish_runs", lambda session: [_ended(status)])
    monkeypatch.setattr(demo, "predict_flights", predict)
    with contextlib.suppress(click.exceptions.Exit):
        demo.run_demo(Quiet())  # type: ignore[arg-type]
    return asked


@pytest.mark.parametrize("status", ["failed", "rejected", "duplicate"])
def test_a_demo_whose_run_served_nothing_ends_with_that_and_asks_no_endpoint(
    monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    with pytest.raises(RunNotServedError, match="runs show r1"):
        _run(monkeypatch, status)


@pytest.mark.parametrize("status", ["succeeded", "refused"])
def test_a_model_answers_after_a_refused_challenger_too(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    assert _run(monkeypatch, status) == ["predict"]
