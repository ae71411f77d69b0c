"""Every bad file ends its run with a message that names file, place, rule and remedy, and stays untouched."""

from __future__ import annotations

import pytest

from tests.e2e.faults import FAULTS, Fault
from tests.e2e.platform import DeployedLaptop


@pytest.fixture(scope="module")
def dropped(laptop: DeployedLaptop) -> dict[str, str]:
    """Drop every bad file at once: each has a project of its own."""
    return {fault.name: laptop.drop(f"{fault.project}/{fault.file}", fault.body) for fault in FAULTS}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_bad_file_is_rejected_with_its_place_and_a_remedy(
    laptop: DeployedLaptop, dropped: dict[str, str], fault: Fault
) -> None:
    key, version = f"{fault.project}/{fault.file}", dropped[fault.name]
    run = laptop.run_of(fault.project, key, version)
    assert run["status"] == fault.status
    problem = next(item for item in run["problems"] if item["code"] == fault.code)
    assert problem["rule"]
    assert problem["remedy"]
    assert fault.says in problem["message"]
    if fault.row is not None:
        assert problem["row"] == fault.row
    if fault.column is not None:
        assert problem["column"] == fault.column
    untouched = laptop.client("s3").get_object(Bucket=laptop.raw_bucket, Key=key, VersionId=version)
    assert untouched["Body"].read() == fault.body
    assert "train" not in {stage["stage"] for stage in run["stages"]}


def test_the_command_line_shows_why_a_run_was_rejected(laptop: DeployedLaptop, dropped: dict[str, str]) -> None:
    fault = next(fault for fault in FAULTS if fault.name == "missing")
    run = laptop.run_of(fault.project, f"{fault.project}/{fault.file}", dropped[fault.name])
    shown = " ".join(laptop.passerelle("runs", "show", run["run_id"]).stdout.split())
    assert "rejected" in shown
    assert "missing.csv" in shown
    assert "did you mean" in shown
