"""An A/B test from its beginning to its end, by the command line, while callers go on asking."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from passerelle.domain.requests.experiment import target_variant
from tests.e2e.platform import DeployedLaptop
from tests.e2e.projects import START, as_csv, make_rows
from tests.e2e.test_drops import asked_all_the_time

PROJECT: Final = "tried"
ENDPOINT: Final = f"passerelle-laptop-{PROJECT}"
CUSTOMERS: Final = 60
SENT: Final = ("customer", "seen_at", "plan", "visits")


@pytest.fixture(scope="module")
def versions(laptop: DeployedLaptop) -> list[str]:
    """Two models that were served, the second one is."""
    found = []
    for number, rows in enumerate((make_rows(500), make_rows(300, seed=9, start=START.replace(year=2025)))):
        run = laptop.run_of(PROJECT, f"{PROJECT}/{number}.csv", laptop.drop(f"{PROJECT}/{number}.csv", as_csv(rows)))
        assert run["status"] == "succeeded", run["error"]
        found.append(str(run["model_version"]))
    return found


def command(laptop: DeployedLaptop, *words: str) -> dict[str, Any]:
    return dict(json.loads(laptop.passerelle("--json", "experiment", words[0], PROJECT, *words[1:]).stdout))


def ask(laptop: DeployedLaptop, row: dict[str, Any], number: int, **target: str) -> dict[str, Any]:
    answer = laptop.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=ENDPOINT, ContentType="application/json", InferenceId=f"asked-{number}",
        Body=json.dumps({"dataframe_records": [{name: row[name] for name in SENT}]}), **target,
    )  # fmt: skip
    return dict(json.loads(answer["Body"].read()))


def served(laptop: DeployedLaptop) -> list[str]:
    sagemaker = laptop.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"]
    variants = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    return sorted(variant["VariantName"] for variant in variants)


def test_an_ab_test_begins_is_read_and_ends_and_no_request_fails(
    laptop: DeployedLaptop, versions: list[str], tmp_path: Path
) -> None:
    first, second = versions
    rows = make_rows(CUSTOMERS, seed=31)
    with asked_all_the_time(laptop, ENDPOINT, make_rows(50)):
        begun = command(laptop, "start", "--version", first, "--name", "e2e", "--spread", "0.4")
        assert (begun["served"], served(laptop)) == (True, ["challenger", "champion"])
        for number, row in enumerate(rows):
            variant = target_variant((row["customer"],), "e2e", 0.5)
            answer = ask(laptop, row, number, TargetVariant=variant)
            assert answer["model"]["version"] == (first if variant == "challenger" else second)
        assert f"e2e: version {first} beside {second}" in laptop.passerelle("status").stdout
        told = command(laptop, "variant", rows[0]["customer"])
        assert told["variant"] == target_variant((rows[0]["customer"],), "e2e", 0.5)
        refused = laptop.passerelle("promote", PROJECT, "--version", second, check=False)
        assert refused.returncode == 3, "it is the champion"
        reading = _read(laptop, rows, tmp_path)
        command(laptop, "stop", "--reason", "enough")
        assert served(laptop) == ["champion"]
    assert reading["met_both"] == 0
    assert reading["evidence"]["verdict"] == "keep", "before its least days"
    split = reading["evidence"]["split"]["phases"][0]
    assert (split["champion"] + split["challenger"], split["share"]) == (CUSTOMERS, 0.5)
    assert laptop.read_json(reading["uri"])["labelled"] == CUSTOMERS
    ended = command(laptop, "status")["test"]["ended"]
    assert (ended["served"], ended["asked"]["reason"]) == (second, "enough")
    assert ask(laptop, rows[0], 0)["model"]["version"] == second
    with pytest.raises(ClientError, match=r"(?i)variant"):
        ask(laptop, rows[0], 0, TargetVariant="challenger")


def _read(laptop: DeployedLaptop, rows: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Read the test once all that was asked by name is recorded; callers that name no variant send no customer."""
    labels = folder / "labels.csv"
    labels.write_text(
        "inference_id,churned\n" + "".join(f"asked-{number},{row['churned']}\n" for number, row in enumerate(rows))
    )
    deadline = time.monotonic() + 300
    while True:
        reading = command(laptop, "status", "--outcomes", str(labels))
        if reading["labelled"] == CUSTOMERS:
            return reading
        assert time.monotonic() < deadline, f"{reading['labelled']} of {CUSTOMERS} predictions are recorded"
        time.sleep(2)
