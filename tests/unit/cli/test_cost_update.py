"""`passerelle cost prices update`: the region's rows are replaced, those of others kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.price_update import update_prices
from cli.session import Session
from passerelle.aws.price_list import PriceList
from passerelle.domain.cost.prices import COLUMNS, read_rows
from passerelle.errors import SettingsError

GATEWAY = {
    "product": {"attributes": {"usagetype": "NatGateway-Hours"}, "sku": "S"},
    "terms": {
        "OnDemand": {
            "S.T": {
                "effectiveDate": "2026-11-01T00:00:00Z",
                "priceDimensions": {"d": {"unit": "Hrs", "beginRange": "0", "pricePerUnit": {"USD": "0.046"}}},
            }
        }
    },
}


class Listed(PriceList):
    """A price list that has one gateway."""

    def __init__(self, products: list[Mapping[str, Any]]) -> None:
        self.listed = products

    def products(self, service_code: str, filters: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        assert filters["regionCode"] == "us-east-1"
        yield from self.listed if filters.get("productFamily") == "NAT Gateway" else ()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "prices_updated.csv"
    old = "NAT gateway,us-east-1,NatGateway-Hours,hour,9,old,2026-01-01"
    path.write_text("\n".join([",".join(COLUMNS), old, "KMS,eu-west-3,customer key,key-month,1,read,2026-01-01", ""]))
    return path


def test_a_regions_rows_are_replaced_and_the_changes_told(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(environment="dev", as_json=True)
    done = update_prices(session, dry_run=False, open_list=lambda _: Listed([GATEWAY]), path=table)
    assert done["changes"] == [{"service": "NAT gateway", "sku": "NatGateway-Hours", "before": 0.045, "usd": 0.046}]
    rows = {row.key: row.usd for row in read_rows(table.read_text().splitlines(), derived=False)}
    assert rows == {("KMS", "eu-west-3", "customer key"): 1.0, ("NAT gateway", "us-east-1", "NatGateway-Hours"): 0.046}
    assert "0.045 → 0.046" in capsys.readouterr().err


def test_a_trial_writes_nothing(table: Path) -> None:
    before = table.read_text()
    done = update_prices(Session("dev", True), dry_run=True, open_list=lambda _: Listed([GATEWAY]), path=table)
    assert (done["file"], table.read_text()) == (None, before)
    assert json.dumps(done)


def test_an_empty_answer_changes_nothing_and_is_an_error(table: Path) -> None:
    before = table.read_text()
    with pytest.raises(SettingsError, match="nothing is changed"):
        update_prices(Session("dev", True), dry_run=False, open_list=lambda _: Listed([]), path=table)
    assert table.read_text() == before
