"""The bill beside the ledger: what agrees, what does not, and what to make of it."""

from __future__ import annotations

import pytest

from passerelle.contracts.ledger import Charge
from passerelle.domain.cost.bill import Billed, billed_part, compared, ledger_part, totals

DAY = "2026-11-10"


def charge(service: str, usd: float | None, day: str = DAY) -> Charge:
    return Charge(
        id=f"{service}{usd}", charge_start=f"{day}T01:00:00Z", charge_end=f"{day}T02:00:00Z", project="p",
        cost_centre="c", environment="dev", stage="train", resource_type="training-job", resource_id="arn",
        resource_name="job", service=service, region="us-east-1", sku="ml.m5.large", unit="instance-hour", quantity=1.0,
        unit_price_usd=usd, usd=usd, on_demand_quantity=1.0, on_demand_usd=usd, basis="billable time",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("service", "usage_type", "part"),
    [
        ("Amazon SageMaker", "USE1-Train:ml.m5.large", "SageMaker Training"),
        ("AmazonSageMaker", "EUW3-TrSpt:ml.g4dn.xlarge", "SageMaker Training"),
        ("AmazonSageMaker", "USE1-TrainWarmPool:ml.m5.large", "SageMaker Training warm pool"),
        ("AmazonSageMaker", "ServerlessInf:Mem-2GB", "SageMaker Serverless Inference"),
        ("AmazonSageMaker", "EU-Host:ml.m5.large", "SageMaker Hosting"),
        ("AmazonSageMaker", "EU-SomethingNew", "SageMaker EU-SomethingNew"),
        ("AWS Lambda", "Lambda-GB-Second-ARM", "Lambda"),
        ("AmazonStates", "StateTransition", "Step Functions"),
        ("Amazon Athena", "USE1-DataScannedInTB", "Amazon Athena"),
    ],
)
def test_a_line_of_the_bill_is_told_by_service_and_part(service: str, usage_type: str, part: str) -> None:
    assert billed_part(service, usage_type) == part


def test_the_price_tables_services_are_those_of_the_bill() -> None:
    assert ledger_part("SageMaker Training") == billed_part("Amazon SageMaker", "Train:ml.m5.large")
    assert ledger_part("SageMaker BatchTransform") == billed_part("Amazon SageMaker", "Tsform:ml.m5.large")
    assert ledger_part("Lambda arm64") == "Lambda"
    assert ledger_part("Step Functions Standard") == "Step Functions"


def test_each_service_says_whether_both_agree_and_why_they_may_not() -> None:
    charges = [
        charge("SageMaker Training", 10.0), charge("SageMaker Processing", 5.0), charge("Lambda arm64", 2.0),
        charge("SageMaker Hosting", 1.0), charge("SageMaker BatchTransform", None), charge("EMR Serverless", 3.0),
    ]  # fmt: skip
    billed = [
        Billed("Amazon SageMaker", "Train:ml.m5.large", DAY, 10.3),
        Billed("Amazon SageMaker", "Processing:ml.m5.large", DAY, 2.0),
        Billed("Amazon SageMaker", "Host:ml.m5.large", DAY, 4.0),
        Billed("Amazon SageMaker", "Tsform:ml.m5.large", DAY, 0.5),
        Billed("Amazon Athena", "DataScannedInTB", DAY, 7.0),
        Billed("Amazon Simple Queue Service", "Requests", DAY, 0.00001),
    ]
    found = {each.service: each for each in compared(charges, billed, newest_day=DAY)}
    assert found["SageMaker Training"].agrees
    assert "free tier, a discount" in found["SageMaker Processing"].words
    assert "not billed" in found["Lambda"].words
    assert "more than the ledger" in found["SageMaker Hosting"].words
    assert "no price" in found["SageMaker Batch Transform"].words
    assert "not metered" in found["Amazon Athena"].words
    assert "Amazon Simple Queue Service" not in found
    assert totals(list(found.values())) == pytest.approx((21.0, 23.8))
    assert next(iter(found)) == "Amazon Athena"


def test_days_that_are_not_billed_yet_are_said_to_be() -> None:
    charges = [charge("SageMaker Training", 10.0), charge("SageMaker Training", 9.0, "2026-11-12")]
    (found,) = compared(charges, [Billed("Amazon SageMaker", "Train:x", DAY, 10.0)], newest_day="2026-11-13")
    assert "newest days are not billed yet" in found.words
