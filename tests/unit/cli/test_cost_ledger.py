"""`passerelle cost ledger`: what a month did cost, as people, machines and FOCUS's readers see it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import boto3
import duckdb
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from cli.main import cli
from passerelle.aws import clients
from passerelle.aws.ledger_files import LedgerFiles
from passerelle.aws.objects import Objects
from passerelle.contracts import naming, zones
from passerelle.contracts.ledger import OWN, Charge, charge_id
from passerelle.domain.cost.ledger.focus import COLUMNS
from passerelle.errors import InputError, NotFoundError
from tests.unit.domain.ledger.lines import charge
from tests.unit.steps.world import Aws

SPOT = {"pricing_category": "Dynamic", "usd": 0.30, "on_demand_usd": 1.00}


def _line(name: str, **values: object) -> Charge:
    return charge(
        id=charge_id(name, "s", "k", ""), resource_id=f"arn:aws:s:r:123456789012:{name}", resource_name=name, **values
    )


def _endpoint(day: date) -> Charge:
    start, end = f"{day}T00:00:00Z", f"{day + timedelta(days=1)}T00:00:00Z"
    hours = {"charge_start": start, "charge_end": end, "quantity": 24.0, "usd": 2.76, "requests": 0.0}
    return _line("e/champion", stage="serve", **hours).model_copy(update={"id": charge_id("e", "s", "k", str(day))})


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[LedgerFiles]:
    """A month of flights: a run on spot, a search without a price, an endpoint that nobody asks, and what is nobody's."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("COLUMNS", "200")
    clients.client.cache_clear()
    with mock_aws():
        aws = Aws("prod", "prod")
        parameter = naming.resource_parameter("prod", "reports-bucket")
        boto3.client("ssm").put_parameter(Name=parameter, Value=aws.buckets["reports"], Type="String")
        files = LedgerFiles(Objects(aws.s3), aws.buckets["reports"])
        trained = [
            _line("train", run_id="r1", stage="train", model_version="3", **SPOT),
            _line(
                "trial", run_id="r1", stage="tune", experiment="search", sku="ml.p9.huge", unit_price_usd=None, usd=None
            ),
        ]
        files.write("flights", "2026-11-21", [*trained, _endpoint(date(2026, 11, 21))])
        for back in range(1, 14):
            day = date(2026, 11, 21) - timedelta(days=back)
            files.write("flights", str(day), [_endpoint(day)])
        files.write("flights", "2026-10-31", [_line("before", usd=99.0)])
        files.write(OWN, "2026-11-21", [_line("claim", project=OWN, stage="platform", usd=0.01)])
        yield files
    clients.client.cache_clear()


def _run(*options: str) -> Result:
    return CliRunner().invoke(
        cli, ["--env", "prod", "cost", "ledger", "--month", "2026-11", *options], catch_exceptions=True
    )


def test_a_month_is_added_up_by_stage_with_its_unknowns_savings_and_waste(ledger: LedgerFiles) -> None:
    shown = _run("--project", "flights")
    assert shown.exit_code == 0, shown.output
    words = " ".join(shown.output.split())
    assert "serve 38.64 14" in words
    assert "total ≥ 38.94 16 1" in words
    assert "Spot saved 0.70 USD (70%) in 1 jobs" in words
    assert "e/champion is idle: 0 requests in 336 instance-hours, 83.95 USD a month" in words
    assert "SageMaker Training, ml.p9.huge, us-east-1: 1 instance-hour in 1 lines, no price is known" in words
    assert "Experiment search: unknown USD" in words


@pytest.mark.parametrize(
    ("by", "first"),
    [("run", "no run"), ("model", "no model"), ("day", "2026-11-08"), ("service", "SageMaker Training")],
)
def test_a_month_is_added_up_by_whatever_is_asked(ledger: LedgerFiles, by: str, first: str) -> None:
    groups = json.loads(_run("--project", "flights", "--by", by, "--json").output)["groups"]
    assert (next(iter(groups)) or f"no {by}") == first


def test_machines_get_every_line_and_sum(ledger: LedgerFiles) -> None:
    document = json.loads(_run("--json").output)
    assert document["total"] == {"usd": pytest.approx(38.95), "unknown": 1, "lines": 17, "complete": False}
    assert document["own"]["usd"] == pytest.approx(0.01)
    assert document["idle"]["usd_per_month"] == pytest.approx(83.95)
    assert document["spot"]["saved_usd"] == pytest.approx(0.7)
    assert len(document["lines"]) == 17
    assert Charge.model_validate(document["lines"][0])


def test_focus_is_written_as_csv_and_as_parquet_with_the_same_rows(ledger: LedgerFiles, tmp_path: Path) -> None:
    for name in ("m.csv", "m.parquet"):
        shown = _run("--focus", str(tmp_path / name))
        assert "16 rows, 1 lines without a price left out" in " ".join(shown.output.split())
    with (tmp_path / "m.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    found = duckdb.sql(f"SELECT * FROM read_parquet('{tmp_path / 'm.parquet'}')")
    assert found.columns == list(COLUMNS)
    costs = found.aggregate("sum(BilledCost)").fetchone()
    assert costs is not None
    assert sum(float(row["BilledCost"]) for row in rows) == pytest.approx(costs[0]) == pytest.approx(38.95)
    assert {row["x_RunId"] for row in rows} == {"r1", "NULL"}


def test_a_month_without_lines_says_how_they_come(ledger: LedgerFiles) -> None:
    shown = CliRunner().invoke(cli, ["--env", "prod", "cost", "ledger", "--month", "2025-01"])
    assert "no lines of all projects in 2025-01" in " ".join(shown.output.split())
    assert "--meter 2025-01" in shown.output


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--month", "november"), InputError),
        (("--focus", "m.xlsx"), InputError),
        (("--project", "unknown"), NotFoundError),
    ],
)
def test_what_cannot_be_shown_is_refused(ledger: LedgerFiles, options: tuple[str, str], error: type[Exception]) -> None:
    assert isinstance(_run(*options).exception, error)


def test_a_file_that_is_none_of_the_ledgers_is_named_with_the_remedy(ledger: LedgerFiles) -> None:
    key = zones.ledger_key("flights", "2026-11-20")
    boto3.client("s3").put_object(Bucket="prod-reports", Key=key, Body=b"PAR1 no")
    error = _run().exception
    assert isinstance(error, InputError)
    assert key in str(error)
    assert "--meter 2026-11-20" in str(error)
