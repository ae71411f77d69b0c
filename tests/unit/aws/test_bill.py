"""What AWS billed: Cost Explorer is asked as its model wants, exports are read by their columns."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from botocore.session import get_session
from botocore.validate import validate_parameters

from passerelle.aws.bill import from_cost_explorer, from_export, usage_request
from passerelle.errors import InputError

DAY = "2026-11-10"


class Pages:
    """Cost Explorer's answers as it gives them, page by page."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages, self.requests = list(pages), list[dict[str, Any]]()

    def get_cost_and_usage(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        return self.pages.pop(0)


def page(usd: str, token: str = "", unit: str = "USD") -> dict[str, Any]:
    metrics = {"UnblendedCost": {"Amount": usd, "Unit": unit}}
    group = {"Keys": ["Amazon SageMaker", "USE1-Train:ml.m5.large"], "Metrics": metrics}
    days = {"TimePeriod": {"Start": DAY, "End": "2026-11-11"}, "Total": {}, "Groups": [group], "Estimated": True}
    return {"ResultsByTime": [days], "DimensionValueAttributes": []} | ({"NextPageToken": token} if token else {})


def test_cost_explorer_is_asked_as_its_model_wants_and_all_pages_are_read() -> None:
    first, end = date(2026, 11, 1), date(2026, 12, 1)
    shape = get_session().get_service_model("ce").operation_model("GetCostAndUsage").input_shape
    validate_parameters(usage_request("dev", first, end), shape)
    pages = Pages(page("1.5", "more"), page("2.5"))
    found, asked = from_cost_explorer(pages, "dev", first, end)
    assert (sum(line.usd for line in found), asked) == (4.0, 2)
    assert pages.requests[1]["NextPageToken"] == "more"


def test_a_bill_in_another_currency_is_not_compared() -> None:
    with pytest.raises(InputError, match=r"currency is EUR \(Amazon SageMaker, 2026-11-10\)"):
        from_cost_explorer(Pages(page("1", unit="EUR")), "dev", date(2026, 11, 1), date(2026, 12, 1))


LINES = (
    ("2026-11-10 01:00:00", "Usage", "USE1-Train:ml.m5.large", 1.0, {"user_passerelle_environment": "dev"}),
    ("2026-11-10 02:00:00", "Usage", "USE1-Train:ml.m5.large", 2.0, {"user_passerelle:environment": "dev"}),
    ("2026-11-10 02:00:00", "Usage", "USE1-Train:ml.m5.large", 4.0, {"user_passerelle_environment": "prod"}),
    ("2026-11-10 02:00:00", "Tax", "USE1-Train:ml.m5.large", 8.0, {"user_passerelle_environment": "dev"}),
    ("2026-10-31 23:00:00", "Usage", "USE1-Train:ml.m5.large", 16.0, {"user_passerelle_environment": "dev"}),
    ("2026-11-10 02:00:00", "Usage", "USE1-Train:ml.m5.large", 32.0, {}),
)


@pytest.mark.parametrize("form", ["parquet", "csv", "csv.gz"])
def test_a_cur_export_is_read_by_its_columns_usage_of_the_environment_only(tmp_path: Path, form: str) -> None:
    with duckdb.connect(":memory:") as connection:
        kind = "MAP(VARCHAR, VARCHAR)" if form == "parquet" else "VARCHAR"
        connection.execute(
            "CREATE TABLE cur (line_item_usage_start_date TIMESTAMP, line_item_line_item_type VARCHAR, "
            "line_item_product_code VARCHAR, line_item_usage_type VARCHAR, line_item_unblended_cost DOUBLE, "
            f"resource_tags {kind})"
        )
        for moment, type_, usage, usd, tagged in LINES:
            value = tagged if form == "parquet" else json.dumps(tagged)
            sql = "MAP {" + ", ".join(f"'{k}': '{v}'" for k, v in tagged.items()) + "}" if form == "parquet" else "?"
            given = [] if form == "parquet" else [value]
            connection.execute(
                f"INSERT INTO cur VALUES (?, ?, 'AmazonSageMaker', ?, ?, {sql})", [moment, type_, usage, usd, *given]
            )
        path = tmp_path / f"cur.{form}"
        connection.execute(f"COPY cur TO '{path}'")
    found = from_export([path], "dev", date(2026, 11, 1), date(2026, 12, 1))
    assert [(line.day, line.usd) for line in found] == [(DAY, 1.0), (DAY, 2.0)]


def test_a_file_that_is_no_export_is_named_with_what_to_export(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"other\.csv is no file of a CUR 2\.0 export.*COST_AND_USAGE_REPORT"):
        from_export([path], "dev", date(2026, 11, 1), date(2026, 12, 1))
