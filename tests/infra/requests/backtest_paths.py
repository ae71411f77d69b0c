"""What `passerelle backtest` asks of AWS, as a path of code_paths."""

from __future__ import annotations

from contextlib import suppress

from passerelle.aws.backtests import Backtests
from passerelle.aws.deployed import DeployedPlatform
from passerelle.contracts.backtest import BacktestQuestion
from passerelle.contracts.runs import RunRecord, StageRecord
from passerelle.domain.project import load_project
from passerelle.errors import PasserelleError
from tests.infra.conftest import ROOT
from tests.infra.requests.code_paths import Place

_MOMENT = "2026-11-21T05:00:00+00:00"


def backtests(place: Place) -> None:
    """A job for the flights' champion, and what is asked of it later."""
    asked = Backtests(DeployedPlatform("prod", place.session), "flights")
    trained = StageRecord(stage="train", status="done", started_at=_MOMENT, job_name="flights-r1-train-1")
    champion = RunRecord(
        project="flights", run_id="r1", attempt=1, status="succeeded", created_at=_MOMENT, updated_at=_MOMENT,
        stages=(trained,), dataset_id="d1", project_uri="s3://assets/archive.zip",
    )  # fmt: skip
    path = ROOT / "projects" / "flights" / "project.yaml"
    project = load_project(path.read_text(encoding="utf-8"), source=str(path))
    question = BacktestQuestion(project="flights", run_id="r1", dataset_id="d1")
    asked.start(question, champion, project, name="flights-backtest-1", on="ml.m5.large")
    asked.describe("flights-backtest-1")
    list(asked.events("flights-backtest-1"))
    for ask in (asked.champion, lambda: asked.dataset(champion), lambda: asked.result("flights-backtest-1")):
        with suppress(PasserelleError, ValueError):  # what it is answered here is made up
            ask()
