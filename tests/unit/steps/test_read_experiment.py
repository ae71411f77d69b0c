"""Reading an A/B test: recorded predictions once each, joined with what came of them, and the verdict so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from passerelle.aws.objects import Objects
from passerelle.aws.parquet_file import write_parquet
from passerelle.contracts import zones
from passerelle.contracts.ab_tests import AbReading, AbTest, AbTestEnd
from passerelle.contracts.prediction import prediction_columns
from passerelle.contracts.promotions import Asked
from passerelle.domain.project import Project, load_project
from passerelle.domain.requests.experiment import target_variant
from passerelle.steps.read_experiment import Reader, keep_reading, read_experiment

from .world import Aws

BEGIN = datetime(2026, 11, 1, 22, tzinfo=UTC)
NOW = BEGIN + timedelta(days=10)
COLUMNS = prediction_columns([("customer", "text"), ("basket", "number")])
TEXT = """
name: shop
why:
  {objective: o, kpi: k, owner: w, scope: {row: an order},
   value: {currency: EUR, true_positive: 10, false_positive: -2, false_negative: -5}}
data:
  entity_id: [customer, day]
  event_time: day
  label: {column: paid, positive: "yes"}
  columns:
    - {name: customer, type: text}
    - {name: day, type: datetime}
    - {name: basket, type: number}
    - {name: paid, type: category, nullable: true}
task: {type: binary, metric: roc_auc}
serving: {profile: real-time, instance_count: 2, capture_percent: 100, experiment: {percent: 30, effect: 1, entity: customer}}
budget: {monthly_usd: 10, cost_centre: c}
"""
TEST = AbTest(
    project="shop", name="spring", version="2", run_id="r2", champion="1", entity=("customer",), outcome="value",
    unit="EUR a prediction", effect=1.0, spread=6.0, least_days=7, most_days=28, share=0.3,
    asked=Asked(how="experiment"), started_at=BEGIN.isoformat(),
)  # fmt: skip
Variant = Callable[[str, int], str]


def sticky(customer: str, _: int) -> str:
    return target_variant((customer,), TEST.name, TEST.share)


class Shop:
    """Customers who ask three times each. The challenger is right four times in five, the champion every other time."""

    def __init__(self, aws: Aws, folder: Path) -> None:
        self.reader = Reader(Objects(aws.s3), aws.buckets["predictions"], aws.buckets["reports"])
        self.bucket, self.folder = aws.buckets["predictions"], folder
        self.labels = folder / "labels.csv"
        self.labels.write_text("inference_id,paid\n")

    def ask(self, customers: int, variant: Variant = sticky, *, right: bool = True, at: datetime = BEGIN) -> None:
        """Record predictions, each delivered twice, and their labels."""
        rows, known = list[dict[str, Any]](), list[str]()
        for number in range(customers):
            customer = f"customer {number}"
            for time in range(3):
                chosen, place = variant(customer, time), 3 * number + time
                decision = place % 5 != 0 if chosen == "challenger" and right else place % 2 == 0
                rows.append(
                    {
                        "inference_id": f"i{place}", "request_row": 0, "event_time": at + timedelta(minutes=time),
                        "model": "shop-prod", "version": None, "variant": chosen, "entity_id": f"{customer}|x",
                        "input_customer": customer, "input_basket": 1.0, "score": 0.5,
                        "decision": str(decision).lower(), "latency_ms": None,
                    }
                )  # fmt: skip
                known.append(f"i{place},yes\n")
        self.deliver(rows)
        self.deliver(rows)
        with self.labels.open("a") as file:
            file.writelines(known)

    def deliver(self, rows: Sequence[dict[str, Any]]) -> None:
        path = write_parquet(self.folder / "part.parquet", COLUMNS, rows)
        digest = str(len(list(self.reader.objects.keys(self.bucket))))
        key = zones.prediction_records_key("shop", f"{rows[0]['event_time']:%Y-%m-%d}", digest, 0)
        self.reader.objects.write(self.bucket, key, path.read_bytes())

    def read(self, test: AbTest = TEST, now: datetime = NOW, *, labelled: bool = True) -> AbReading:
        files = [self.labels] if labelled else []
        return read_experiment(self.reader, project(), test, files, now)


def project() -> Project:
    return load_project(TEXT, source="project.yaml")


@pytest.fixture
def shop(aws: Aws, tmp_path: Path) -> Shop:
    return Shop(aws, tmp_path)


def outcomes(reading: AbReading) -> dict[str, str]:
    return {check.name: check.outcome for check in reading.evidence.checks}


def test_a_challenger_that_earns_more_is_told_from_each_prediction_once(shop: Shop) -> None:
    shop.ask(900)
    found = shop.read()
    assert (found.predictions, found.labelled, found.entities, found.met_both) == (2_700, 2_700, 900, 0)
    assert found.evidence.verdict == "promote"
    effect = found.evidence.effect
    assert effect is not None
    assert effect.unit == "EUR a prediction"
    assert effect.champion == pytest.approx(2.5, abs=0.2), "10 where it acts, -5 where it does not: every other time"
    assert effect.challenger == pytest.approx(7.0, abs=0.3)
    assert effect.challenger_entities == pytest.approx(270, abs=45)
    uri = keep_reading(shop.reader, found)
    bucket, key = zones.split_s3_uri(uri)
    assert key == "shop/experiments/spring/2026-11-11T22:00:00Z.json"
    assert AbReading.model_validate_json(shop.reader.objects.read(bucket, key)) == found


def test_before_its_least_days_and_without_outcomes_it_goes_on(shop: Shop) -> None:
    shop.ask(900)
    early = shop.read(now=BEGIN + timedelta(days=3))
    assert (early.evidence.verdict, outcomes(early)["duration"], outcomes(early)["effect"]) == ("keep", "open", "holds")
    blind = shop.read(labelled=False)
    assert (blind.labelled, blind.evidence.effect, blind.evidence.verdict) == (0, None, "keep")
    assert outcomes(blind)["split"] == "holds"


def test_one_that_is_no_better_is_rejected_when_its_time_is_over(shop: Shop) -> None:
    shop.ask(330, right=False)
    assert shop.read().evidence.verdict == "keep"
    assert shop.read(now=BEGIN + timedelta(days=28)).evidence.verdict == "reject"


def test_callers_that_name_no_variant_are_found_by_entities_that_met_both(shop: Shop) -> None:
    shop.ask(900, lambda customer, time: target_variant((customer, time), "by weight", TEST.share))
    found = shop.read()
    assert found.met_both > 400
    assert (found.evidence.verdict, outcomes(found)["sticky"]) == ("keep", "open")
    assert any("TargetVariant" in reason for reason in found.evidence.reasons)


def test_a_split_that_is_not_the_declared_one_keeps_both_whatever_they_earn(shop: Shop) -> None:
    shop.ask(900, lambda customer, _: target_variant((customer,), TEST.name, 0.5))
    found = shop.read()
    assert (found.evidence.verdict, outcomes(found)["split"]) == ("keep", "open")
    assert "the split is broken" in found.evidence.reasons[0]


def test_only_what_was_asked_while_it_was_at_work_counts(shop: Shop) -> None:
    shop.ask(100, at=BEGIN - timedelta(hours=1))
    ended = TEST.model_copy(
        update={
            "ended": AbTestEnd(at=(BEGIN + timedelta(days=2)).isoformat(), served="1", asked=Asked(how="stop")),
        }
    )
    nothing = shop.read(ended)
    assert (nothing.predictions, nothing.evidence.days, nothing.evidence.verdict) == (0, 2.0, "keep")
    shop.ask(50, at=BEGIN + timedelta(days=1))
    assert shop.read(ended).predictions == 150
    shop.ask(50, at=BEGIN + timedelta(days=3))
    assert shop.read(ended).predictions == 150


def test_labels_by_entity_and_by_prediction_say_the_same(shop: Shop) -> None:
    shop.ask(300)
    by_id = shop.read()
    shop.labels.write_text("customer,day,paid\n" + "".join(f"customer {one},2026-11-01,yes\n" for one in range(300)))
    assert shop.read().labelled == 0, "records spell the day otherwise: nothing is joined by chance"
    assert by_id.labelled == 900
