"""`passerelle cost reconcile`: the ledger beside the bill, as people and machines see it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.commands import cost_reconcile
from cli.main import cli
from passerelle.aws.ledger_files import LedgerFiles
from passerelle.errors import InputError
from tests.unit.cli.test_cost_ledger import ledger

__all__ = ["ledger"]

HEADINGS = (
    "line_item_usage_start_date,line_item_line_item_type,line_item_product_code,line_item_usage_type,"
    "line_item_unblended_cost,resource_tags"
)
OURS = '"{""user_passerelle_environment"": ""prod""}"'


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "cur.csv"
    lines = [
        f"2026-11-10 00:00:00,Usage,AmazonSageMaker,USE1-Train:ml.m5.large,38.9,{OURS}",
        f"2026-11-10 00:00:00,Usage,AmazonAthena,USE1-DataScannedInTB,3.0,{OURS}",
        "2026-11-10 00:00:00,Usage,AmazonAthena,USE1-DataScannedInTB,9.0,{}",
    ]
    path.write_text("\n".join((HEADINGS, *lines)) + "\n", encoding="utf-8")
    return path


def _run(*options: str, env: str = "prod") -> Result:
    return CliRunner().invoke(cli, ["--env", env, "cost", "reconcile", *options], catch_exceptions=True)


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_reconcile, "_today", lambda: date(2026, 12, 5))


def test_a_month_is_compared_by_service_with_what_to_make_of_it(ledger: LedgerFiles, export: Path) -> None:
    shown = _run("--month", "2026-11", "--export", str(export))
    assert shown.exit_code == 0, shown.output
    words = " ".join(shown.output.split())
    assert "2026-11-01 to 2026-11-30" in words
    assert "AmazonAthena 0.00 3.00 +3.00 not metered" in words
    assert "1 lines of the ledger have no price" in words
    told = json.loads(_run("--month", "2026-11", "--export", str(export), "--json").stdout)
    assert {each["service"] for each in told["services"]} >= {"AmazonAthena", "SageMaker Training"}
    assert told["requests"] == 0


def test_the_laptop_has_no_bill_and_a_month_that_began_today_neither(ledger: LedgerFiles) -> None:
    refused = _run(env="laptop").exception
    assert isinstance(refused, InputError)
    assert "--export" in str(refused)
    refused = _run("--month", "2026-12", "--export", __file__).exception
    assert "is no file of a CUR 2.0 export" in str(refused)
    refused = _run("--month", "2027-01").exception
    assert "no day that is billed whole yet" in str(refused)
