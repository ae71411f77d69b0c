"""The A/B test as commands: what is asked of Step Functions, what is refused, and how a reading looks."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from rich.console import Console

from cli.show_experiment import show_evidence, show_reading
from passerelle.contracts import naming
from passerelle.contracts.ab_tests import LAST, AbReading, AbTest, AbTestEnd
from passerelle.contracts.experiment import PairedTest
from passerelle.contracts.promotions import Asked
from passerelle.contracts.runs import RunRecord
from passerelle.domain.experiment.load import compare_errors
from passerelle.domain.experiment.shadow import Limits, Shown, judge_shadow
from passerelle.domain.requests.experiment import target_variant
from passerelle.errors import InputError, NotFoundError
from tests.unit.steps.test_read_experiment import TEXT

from .test_champion import Prod, prod

__all__ = ["prod"]
BEGIN = datetime.now(UTC) - timedelta(days=2)
TEST = AbTest(
    project="flights", name="spring", version="4", run_id="r2026112110004-abcdef", champion="2", entity=("customer",),
    outcome="value", unit="EUR a prediction", effect=1.0, spread=6.0, least_days=7, most_days=28, share=0.3,
    asked=Asked(how="experiment"), started_at=BEGIN.isoformat(),
)  # fmt: skip


def at_work(prod: Prod, **changes: Any) -> None:
    prod.table.put("flights", LAST, test=TEST.model_copy(update=changes).model_dump_json())


def test_start_tries_the_newest_accepted_version_and_says_who_why_and_how(prod: Prod) -> None:
    deploy_project(prod)
    request = prod.started("experiment", "start", "flights", "--percent", "20", "--spread", "3", "--reason", "cheaper")
    assert request["model_version"] == "4"
    assert request["experiment"] == {"name": f"version-4-{datetime.now(UTC):%Y%m%d}", "percent": 20, "spread": 3.0}
    assert (request["asked"]["how"], request["asked"]["reason"]) == ("experiment", "cheaper")


def test_start_takes_a_version_and_a_name_and_refuses_what_cannot_be_tried(prod: Prod) -> None:
    deploy_project(prod)
    unplanned = prod.run("experiment", "start", "flights", "--version", "1")
    assert "--spread NUMBER" in str(unplanned.exception), "before anything is started"
    for words in (("--name", "My Test"), ("--spread", "-1")):
        wrong = prod.run("experiment", "start", "flights", "--version", "1", *words).exception
        assert isinstance(wrong, InputError)
        assert "1 to 48 lower-case letters" in str(wrong)
    assert not prod.executions()
    request = prod.started("experiment", "start", "flights", "--version", "1", "--name", "back", "--spread", "2")
    assert (request["model_version"], request["experiment"]) == ("1", {"name": "back", "spread": 2.0})
    assert isinstance(prod.run("experiment", "start", "flights", "--version", "2").exception, InputError)
    at_work(prod)
    refused = prod.run("experiment", "start", "flights", "--spread", "2")
    assert isinstance(refused.exception, InputError)
    assert "spring of flights is at work" in str(refused.exception)
    assert prod.run("experiment", "start", "flights", "--percent", "60").exit_code == 2


@pytest.mark.parametrize(("words", "version", "how"), [((), "2", "stop"), (("--promote",), "4", "promote")])
def test_stop_lets_one_of_both_serve_alone(prod: Prod, words: tuple[str, ...], version: str, how: str) -> None:
    at_work(prod)
    request = prod.started("experiment", "stop", "flights", *words)
    assert (request["model_version"], request["asked"]["how"]) == (version, how)


def test_stop_and_status_without_a_test_say_how_one_begins(prod: Prod) -> None:
    refused = prod.run("experiment", "stop", "flights")
    assert isinstance(refused.exception, InputError)
    assert "`passerelle experiment start flights` begins one" in str(refused.exception)
    missing = prod.run("experiment", "status", "flights")
    assert isinstance(missing.exception, NotFoundError)
    assert "serving.experiment" in str(missing.exception)


def test_variant_is_that_of_the_library_and_ends_with_the_test(prod: Prod) -> None:
    at_work(prod)
    for customer in ("anna", "bert", "cleo", "dora"):
        told = prod.run("experiment", "variant", "flights", customer)
        assert json.loads(told.stdout)["variant"] == target_variant((customer,), "spring", 0.3)
    assert "1 values: customer" in str(prod.run("experiment", "variant", "flights", "anna", "7").exception)
    at_work(prod, ended=AbTestEnd(at="2026-11-22T00:00:00+00:00", served="2", asked=Asked(how="stop")))
    assert "ended at 2026-11-22" in str(prod.run("experiment", "variant", "flights", "anna").exception)


def test_status_reads_what_is_recorded_and_keeps_the_reading(prod: Prod, tmp_path: Path) -> None:
    at_work(prod)
    deploy_project(prod)
    labels = tmp_path / "labels.csv"
    labels.write_text("inference_id,paid\nx,yes\n")
    done = prod.run("experiment", "status", "flights", "--outcomes", str(labels))
    assert (done.exit_code, done.exception) == (0, None)
    told = json.loads(done.stdout)
    assert (told["predictions"], told["evidence"]["verdict"]) == (0, "keep")
    assert told["evidence"]["days"] == pytest.approx(2.0, abs=0.2)
    key = told.pop("uri").removeprefix("s3://reports/")
    kept = prod.s3.get_object(Bucket="reports", Key=key)["Body"].read()
    assert AbReading.model_validate_json(kept) == AbReading.model_validate(told)
    assert "labels.csv, row 1" in str(_wrong(prod, labels))


def deploy_project(prod: Prod) -> None:
    """Put the project's archive, and the buckets of what is recorded and reported, where commands look for them."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("project.yaml", TEXT.replace("name: shop", "name: flights", 1))
    for bucket in ("assets", "predictions", "reports"):
        prod.s3.create_bucket(Bucket=bucket)
    prod.s3.put_object(Bucket="assets", Key="a.zip", Body=packed.getvalue())
    ssm = boto3.client("ssm")
    for name in ("predictions", "reports"):
        ssm.put_parameter(Name=naming.resource_parameter("prod", f"{name}-bucket"), Value=name, Type="String")
    uri = json.dumps({"uri": "s3://assets/a.zip"})
    ssm.put_parameter(Name=naming.project_parameter("prod", "flights"), Value=uri, Type="String", Overwrite=True)


def test_a_shadow_is_read_with_labels_of_the_newest_run_that_was_in_one(prod: Prod, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("inference_id,paid\nx,yes\n")
    words = ("shadow", "flights", "--outcomes", str(labels))
    assert "No run of flights had a model in the shadow" in str(prod.run(*words).exception)
    deploy_project(prod)
    evidence = judge_shadow(Shown(hours=2.0, errors=compare_errors((9, 0), (9, 0))), Limits(hours=2.0))
    record = prod.table.newest("flights")[0]
    key = f"flights/runs/{record.run_id}/shadow.json"
    prod.s3.put_object(Bucket="reports", Key=key, Body=evidence.model_dump_json().encode())
    told = {"verdict": "keep", "evidence": f"s3://reports/{key}", "judged_at": BEGIN.isoformat()}
    prod.table.save(record.model_copy(update={"shadow": told}))
    refused = prod.run(*words)
    assert isinstance(refused.exception, InputError)
    assert "None of 1 labels is of one of the 0 recorded requests" in str(refused.exception)


def test_a_shadow_with_labels_is_shown_with_each_test_and_the_next_command() -> None:
    test = {
        "of": "roc_auc", "method": "delong", "rows": 400, "champion": 0.7, "challenger": 0.8, "p_value": 0.01,
        "better": {"value": 0.1, "lower": 0.02, "upper": 0.18},
    }  # fmt: skip
    errors = compare_errors((900, 0), (900, 0))
    evidence = judge_shadow(
        Shown(hours=2.0, errors=errors, metric=PairedTest.model_validate(test)), Limits(hours=1.0, requests=100)
    )
    record = RunRecord(
        project="flights", run_id="r4", attempt=1, status="refused", created_at="t", updated_at="t", model_version="4",
        shadow={"verdict": "keep"},
    )  # fmt: skip
    console = Console(file=io.StringIO(), width=200)
    show_evidence(console, record, evidence, "s3://reports/x.json")
    assert isinstance(console.file, io.StringIO)
    shown = " ".join(console.file.getvalue().split())
    for words in ("run r4 (version 4) with labels: promote; without them it was keep", "roc_auc 400 0.7 0.8 +0.1",
                  "delong", "`passerelle promote flights --version 4`", "s3://reports/x.json"):  # fmt: skip
        assert words in shown


def _wrong(prod: Prod, labels: Path) -> BaseException | None:
    labels.write_text("inference_id,request_row,paid\nx,one,yes\n")
    return prod.run("experiment", "status", "flights", "--outcomes", str(labels)).exception


@pytest.mark.parametrize(
    ("verdict", "says"),
    [("promote", "experiment stop flights --promote"), ("reject", "experiment stop flights`"), ("keep", "goes on")],
)
def test_a_reading_tells_both_models_each_check_and_the_next_command(verdict: str, says: str) -> None:
    reading = AbReading.model_validate(
        {
            "test": TEST.model_dump(), "read_at": "2026-11-22T00:00:00Z", "predictions": 2_700, "labelled": 2_600,
            "entities": 900, "met_both": 3,
            "evidence": {
                "verdict": verdict, "reasons": ["because"], "days": 8.0,
                "checks": [{"name": "split", "outcome": "holds", "words": "the challenger got 270 of 900"}],
                "plan": {"effect": 1, "spread": 6, "share": 0.3, "error": 0.05, "power": 0.8, "entities": 1_234, "fixed": 700},
                "split": {"phases": [], "p_value": 1.0, "level": 0.001, "holds": True},
                "effect": {
                    "method": "asymptotic", "unit": "EUR a prediction", "champion_entities": 630,
                    "challenger_entities": 270, "champion": 2.5, "challenger": 7.0,
                    "more": {"value": 4.5, "lower": 3.0, "upper": 6.0},
                },
            },
        }
    )  # fmt: skip
    console = Console(file=io.StringIO(), width=200)
    show_reading(console, reading, "s3://reports/x.json")
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    for words in ("version 4 answers 30 % of customer beside version 2", "2,700 predictions of 900 entities", says,
                  "1,234 entities", "champion", "2.5", "✓ the challenger got 270 of 900", "s3://reports/x.json"):  # fmt: skip
        assert words in shown
