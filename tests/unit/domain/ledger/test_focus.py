"""The export is FOCUS 1.2: its columns, NULL for nothing, spot as Dynamic, own columns last."""

from __future__ import annotations

import json

import pytest

from passerelle.domain.cost.ledger.focus import COLUMNS, NUMBERS, csv_cells, focus_rows

from .lines import charge

#: FOCUS 1.2, columns that a provider must have (the specification's feature level "Mandatory").
MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart",
    "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit",
    "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
}  # fmt: skip


def test_the_columns_are_focus_and_ours_come_last_with_their_prefix() -> None:
    assert set(COLUMNS) >= MANDATORY
    own = [name.startswith("x_") for name in COLUMNS]
    assert own == sorted(own)
    assert all(name.removeprefix("x_")[0].isupper() for name in COLUMNS)
    assert set(NUMBERS) <= set(COLUMNS)


def test_a_row_says_what_was_used_when_and_at_which_price() -> None:
    (row,) = focus_rows([charge(run_id="r1", model_version="3")])
    assert tuple(row) == COLUMNS
    assert (row["BilledCost"], row["ListCost"], row["PricingCategory"]) == (0.115, 0.115, "Standard")
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    assert (row["ChargePeriodStart"], row["BillingAccountId"]) == ("2026-11-21T05:00:00Z", "123456789012")
    assert (row["ServiceName"], row["ServiceCategory"]) == ("Amazon SageMaker", "AI and Machine Learning")
    assert json.loads(row["Tags"])["passerelle:run"] == "r1"


def test_spot_is_dynamic_and_listed_at_the_time_that_it_trained() -> None:
    spot = charge(
        pricing_category="Dynamic", quantity=0.3, usd=0.0345, on_demand_quantity=1.0, on_demand_usd=0.115
    )  # fmt: skip
    (row,) = focus_rows([spot])
    assert (row["PricingCategory"], row["PricingQuantity"], row["x_BilledQuantity"]) == ("Dynamic", 1.0, 0.3)
    assert row["ListCost"] == pytest.approx(row["ListUnitPrice"] * row["PricingQuantity"])
    assert row["ContractedCost"] == pytest.approx(row["ContractedUnitPrice"] * row["PricingQuantity"])
    assert row["BilledCost"] == row["EffectiveCost"] == 0.0345


def test_nothing_is_null_and_never_an_empty_text() -> None:
    (row,) = focus_rows([charge(run_id="", experiment="", cost_centre="")])
    assert (row["x_RunId"], row["x_CostCentre"], row["ChargeClass"]) == (None, None, None)
    assert "" not in row.values()
    cells = csv_cells(row)
    assert cells[COLUMNS.index("x_RunId")] == "NULL"
    assert "" not in cells


def test_a_line_without_a_price_is_no_row() -> None:
    assert list(focus_rows([charge(usd=None, unit_price_usd=None)])) == []


def test_the_last_month_of_a_year_ends_in_the_next_one() -> None:
    (row,) = focus_rows([charge(charge_start="2026-12-31T22:00:00Z", charge_end="2027-01-01T00:00:00Z")])
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("service", "category"),
    [("Lambda arm64", "Compute"), ("Step Functions Standard", "Integration"), ("EMR Serverless", "Analytics")],
)
def test_every_service_of_the_ledger_has_its_category(service: str, category: str) -> None:
    (row,) = focus_rows([charge(service=service)])
    assert row["ServiceCategory"] == category
