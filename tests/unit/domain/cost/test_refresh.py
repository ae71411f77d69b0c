"""Prices from the Price List: shapes as AWS documents them, requests that botocore's model accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from passerelle.aws.account import PermissionLackingError
from passerelle.aws.price_list import PriceList
from passerelle.domain.cost.prices import read_rows
from passerelle.domain.cost.refresh import Query, Refreshed, queries, refreshed, to_csv

PRODUCTS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("price_list_products.json").read_text())


def answered() -> Refreshed:
    def of(query: Query) -> list[Mapping[str, Any]]:
        return [
            item for item in PRODUCTS
            if item.get("serviceCode", "AWSELB") == query.service_code
            and query.filters.get("productFamily") in (None, item.get("product", {}).get("productFamily"))
        ]  # fmt: skip

    return refreshed("eu-west-3", ((query, of(query)) for query in queries("eu-west-3")))


def test_products_become_rows_under_the_names_of_the_table() -> None:
    found = {(key[0], key[2]): row.usd for key, row in answered().rows.items()}
    assert found == {
        ("NAT gateway", "NatGateway-Hours"): 0.051,
        ("SageMaker Hosting", "ml.m5.large"): 0.134,
        ("SageMaker Serverless Inference", "ServerlessInf:Mem-2GB"): 0.000044,
        ("RDS PostgreSQL", "db.t4g.micro Multi-AZ"): 0.036,
        ("KMS", "customer key"): 1.0,
        ("Route 53", "HostedZone"): 0.5,
    }


def test_a_price_in_another_unit_or_two_prices_for_one_thing_are_not_taken_and_said() -> None:
    problems = answered().problems
    assert any("NatGateway-Bytes" in problem and "Quantity" in problem for problem in problems)
    assert any("two prices" in problem and "ALB" in problem for problem in problems)


def test_rows_survive_being_written_and_read_with_their_dates() -> None:
    rows = list(answered().rows.values())
    assert sorted(read_rows(to_csv(rows).splitlines(), derived=False), key=lambda row: row.key) == sorted(
        rows, key=lambda row: row.key
    )
    nat = next(row for row in rows if row.service == "NAT gateway")
    assert "NATHOURPARIS0001" in nat.source
    assert nat.age_days(date(2026, 11, 23)) == 3


@pytest.fixture
def stub() -> Stubber:
    client = boto3.client("pricing", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    return Stubber(client)


def test_every_request_is_one_that_the_api_takes(stub: Stubber) -> None:
    for query in queries("eu-west-3"):
        filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in sorted(query.filters.items())]
        expected = {"ServiceCode": query.service_code, "Filters": filters, "FormatVersion": "aws_v1"}
        stub.add_response("get_products", {"PriceList": [json.dumps(PRODUCTS[0])]}, expected)
    asked = []

    def client(service: str, region: str) -> Any:
        asked.append((service, region))
        return stub.client

    with stub:
        source = PriceList(client, region="eu-west-3")
        found = [item for query in queries("eu-west-3") for item in source.products(query.service_code, query.filters)]
    assert found[0] == PRODUCTS[0]
    assert asked == [("pricing", "us-east-1")]


def test_a_caller_who_may_not_ask_is_told_the_permission(stub: Stubber) -> None:
    stub.add_client_error("get_products", "AccessDeniedException")
    with stub, pytest.raises(PermissionLackingError, match="pricing:GetProducts"):
        list(PriceList(lambda *_: stub.client, region="eu-west-3").products("AmazonEC2", {}))
