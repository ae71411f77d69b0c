"""What an environment may say of data at rest, alerts and money: what would lose data or wake nobody is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from infra import config as subject
from infra.config_slots import AlertAddresses, Data, EnvironmentBudget
from passerelle.errors import SettingsError

DATA: dict[str, Any] = yaml.safe_load((subject.FOLDER / "prod.yaml").read_text())["data"]


def _with(zone: str, **lifecycle: int) -> dict[str, Any]:
    return {**DATA, "lifecycle": {**DATA["lifecycle"], zone: {"noncurrent_days": 30, **lifecycle}}}


@pytest.mark.parametrize("zone", ["raw", "curated", "models"])
def test_what_later_runs_read_again_never_expires(zone: str) -> None:
    with pytest.raises(ValidationError, match=f"{zone}.expire_days: later runs read this zone again"):
        Data.model_validate(_with(zone, expire_days=90))
    assert Data.model_validate(_with("reports", expire_days=90)).lifecycle["reports"].expire_days == 90


def test_every_zone_has_its_lifecycle_and_no_other() -> None:
    lifecycle = {("scratch" if name == "reports" else name): value for name, value in DATA["lifecycle"].items()}
    with pytest.raises(ValidationError, match="missing reports, unknown scratch"):
        Data.model_validate({**DATA, "lifecycle": lifecycle})


@pytest.mark.parametrize("limit", [0, 0.009, -1])
def test_athenas_least_limit_is_ten_megabytes(limit: float) -> None:
    with pytest.raises(ValidationError, match="athena_scan_limit_gb"):
        Data.model_validate({**DATA, "athena_scan_limit_gb": limit})


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("on-call", "no e-mail address"),
        ("a@b", "no e-mail address"),
        ("a@example.com, b@example.com", "no e-mail address"),
        ("Team <team@example.com>", "no e-mail address"),
    ],
)
def test_what_is_no_address_is_refused(address: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        AlertAddresses(page=(address,), notify=())


def test_nobody_gets_the_same_mail_twice() -> None:
    with pytest.raises(ValidationError, match="named twice"):
        AlertAddresses(page=(), notify=("team@example.com", "Team@example.com"))
    both = AlertAddresses(page=("team@example.com",), notify=("team@example.com",))
    assert both.page == both.notify


BUDGET: dict[str, Any] = {"monthly_usd": 10, "actual_percents": [80, 100], "forecast_percent": 100, "anomaly_usd": 5}


@pytest.mark.parametrize(
    "change",
    [
        {"monthly_usd": 0},
        {"actual_percents": []},
        {"actual_percents": [20, 40, 60, 80, 100]},
        {"actual_percents": [100, 80]},
        {"actual_percents": [80, 80]},
        {"anomaly_usd": -1},
    ],
)
def test_a_budget_that_would_never_tell_or_that_aws_refuses_is_refused(change: dict[str, Any]) -> None:
    assert EnvironmentBudget.model_validate(BUDGET).monthly_usd == 10
    with pytest.raises(ValidationError):
        EnvironmentBudget.model_validate({**BUDGET, **change})


@pytest.mark.parametrize("change", [{"alerts": {"page": [], "notify": []}}, {"budget": None}])
def test_production_wakes_somebody_and_has_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    document = yaml.safe_load((subject.FOLDER / "prod.yaml").read_text())
    for other in subject.FOLDER.glob("*.yaml"):
        (tmp_path / other.name).write_text(other.read_text())
    (tmp_path / "prod.yaml").write_text(yaml.safe_dump({**document, **change}))
    monkeypatch.setattr(subject, "FOLDER", tmp_path)
    with pytest.raises(SettingsError, match="somebody must be woken"):
        subject.load_config("prod")
