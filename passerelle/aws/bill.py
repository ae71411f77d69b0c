"""What AWS bills an environment: from Cost Explorer, or from the files of a CUR 2.0 export."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from passerelle.contracts import tags
from passerelle.domain.cost.bill import Billed
from passerelle.errors import InputError

#: The columns of a CUR 2.0 export that the comparison reads.
COLUMNS: Final = (
    "line_item_usage_start_date",
    "line_item_line_item_type",
    "line_item_product_code",
    "line_item_usage_type",
    "line_item_unblended_cost",
    "resource_tags",
)
#: Line items that are usage, at whatever price: taxes, credits and fees are none of the ledger's.
_USAGE: Final = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")


def usage_request(environment: str, first: date, end: date) -> dict[str, Any]:
    """Return a GetCostAndUsage request: an environment's usage by day, service and usage type; `end` is not in it."""
    tagged = {"Tags": {"Key": tags.ENVIRONMENT, "Values": [environment], "MatchOptions": ["EQUALS"]}}
    usage = {"Dimensions": {"Key": "RECORD_TYPE", "Values": list(_USAGE), "MatchOptions": ["EQUALS"]}}
    return {
        "TimePeriod": {"Start": str(first), "End": str(end)},
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost"],
        "Filter": {"And": [tagged, usage]},
        "GroupBy": [{"Type": "DIMENSION", "Key": key} for key in ("SERVICE", "USAGE_TYPE")],
    }


def from_cost_explorer(client: Any, environment: str, first: date, end: date) -> tuple[list[Billed], int]:
    """Return what an environment was billed from a day up to another, and of how many paid requests.

    Raises InputError for a bill in another currency than USD, as the ledger's prices are.
    """
    request, found, pages = usage_request(environment, first, end), list[Billed](), 0
    while True:
        answer, pages = client.get_cost_and_usage(**request), pages + 1
        for day in answer["ResultsByTime"]:
            found += (_group(day["TimePeriod"]["Start"], group) for group in day["Groups"])
        if not (token := answer.get("NextPageToken")):
            return found, pages
        request["NextPageToken"] = token


def _group(day: str, group: Mapping[str, Any]) -> Billed:
    service, usage_type = group["Keys"]
    cost = group["Metrics"]["UnblendedCost"]
    if cost["Unit"] != "USD":
        raise InputError(
            f"The bill's currency is {cost['Unit']} ({service}, {day}), the ledger's is USD: they cannot be compared."
        )
    return Billed(service, usage_type, day, float(cost["Amount"]))


def from_export(paths: Sequence[Path], environment: str, first: date, end: date) -> list[Billed]:
    """Return what an environment was billed, by files of a CUR 2.0 export (Parquet, or CSV also as .gz).

    Lines count whose resource tags name the environment, as CUR 2.0 spells tags (`user_passerelle_environment`, and
    with the separators of the tag itself).

    Raises InputError for a file that cannot be read or lacks a column, with its name and what to export.
    """
    return [line for path in paths for line in _read(path, environment, first, end)]


def _read(path: Path, environment: str, first: date, end: date) -> Iterator[Billed]:
    import duckdb

    reader = "read_parquet" if path.suffix == ".parquet" else "read_csv"
    place = str(path).replace("'", "''")
    options = "" if reader == "read_parquet" else ", all_varchar = true"
    with duckdb.connect(":memory:") as connection:
        try:
            rows = connection.execute(
                f"SELECT CAST(CAST({COLUMNS[0]} AS TIMESTAMP) AS DATE), {COLUMNS[2]}, {COLUMNS[3]}, "
                f"CAST({COLUMNS[4]} AS DOUBLE), CAST(resource_tags AS VARCHAR) "
                f"FROM {reader}('{place}'{options}) WHERE {COLUMNS[1]} IN {_USAGE} "
                f"AND CAST({COLUMNS[0]} AS TIMESTAMP) >= ? AND CAST({COLUMNS[0]} AS TIMESTAMP) < ?",
                [first, end],
            ).fetchall()
        except duckdb.Error as error:
            raise InputError(
                f"{path} is no file of a CUR 2.0 export: {str(error).splitlines()[0]} The export's table is "
                f"COST_AND_USAGE_REPORT, with the columns {', '.join(COLUMNS)}."
            ) from error
    for day, service, usage_type, usd, tagged in rows:
        if _tag(tagged or "", tags.ENVIRONMENT) == environment:
            yield Billed(service, usage_type, str(day), usd)


def _tag(text: str, key: str) -> str | None:
    """Return a tag's value from a map as text: {user_passerelle_environment=dev} or {"user_passerelle:...": "dev"}."""
    spelt = re.escape(key).replace(":", "[:_]").replace("\\-", "[-_]")
    match = re.search(rf"[{{,\s'\"]user_{spelt}['\"]?\s*[=:]\s*['\"]?([^,}}'\"]*)", text)
    return match[1].strip() if match else None
