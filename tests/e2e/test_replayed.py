"""A challenger of a serverless endpoint serves only after it was asked, by replay, what its champion was asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
import pytest

from passerelle.domain.predictions import once
from tests.e2e.platform import DeployedLaptop
from tests.e2e.projects import REPLAYED_ROWS, START, as_csv, make_rows
from tests.e2e.steady_load import wait_until

PROJECT: Final = "replayed"
ENDPOINT: Final = f"passerelle-laptop-{PROJECT}"
#: Rows of a request: more than a line of the server's log holds.
TOGETHER: Final = 200

Row = dict[str, Any]


@dataclass(frozen=True)
class Challenged:
    """A champion, all that is recorded of it when a challenger has come, and what became of that."""

    first: dict[str, Any]
    recorded: pd.DataFrame
    run: dict[str, Any]
    evidence: dict[str, Any]


def asked_rows(count: int, *, seed: int) -> list[Row]:
    """Return rows as a caller has them, each of another customer."""
    return [
        {name: row[name] for name in ("plan", "visits", "seen_at")}
        | {"age": row["age"] or None, "customer": f"{row['customer']}-{seed}"}
        for row in make_rows(count, seed=seed)
    ]


#: What was asked before the challenger came: too little.
EARLY: Final = asked_rows(30, seed=31)


def ask(laptop: DeployedLaptop, rows: Sequence[Row], inference_id: str) -> dict[str, Any]:
    """Ask the endpoint, under a name for the request."""
    answer = laptop.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=ENDPOINT,
        ContentType="application/json",
        InferenceId=inference_id,
        Body=json.dumps({"dataframe_records": rows}).encode(),
    )
    return dict(json.loads(answer["Body"].read()))


def served_version(laptop: DeployedLaptop) -> str:
    """Return which version answers. What is asked for that was asked before, so it is recorded again, and counts once."""
    return str(ask(laptop, EARLY, "early")["model"]["version"])


def recorded_of(laptop: DeployedLaptop, version: str) -> pd.DataFrame:
    """Return each prediction of a version once."""
    found = once(laptop.delivered(PROJECT))
    return found[found["version"] == version]


def evidence_of(laptop: DeployedLaptop, run: dict[str, Any]) -> dict[str, Any]:
    """Return what lies in the reports zone of what a run's challenger showed."""
    place = f"s3://{laptop.resource('reports-bucket')}/{PROJECT}/runs/{run['run_id']}/shadow.json"
    assert run["shadow"]["evidence"] == place
    return dict(laptop.read_json(place))


def check_of(evidence: dict[str, Any], name: str) -> dict[str, Any]:
    return next(check for check in evidence["checks"] if check["name"] == name)


@pytest.fixture(scope="module")
def challenged(laptop: DeployedLaptop) -> Challenged:
    """A second model comes when the first was asked for a few rows only."""
    first = laptop.run_of(PROJECT, f"{PROJECT}/1.csv", laptop.drop(f"{PROJECT}/1.csv", as_csv(make_rows())))
    assert first["status"] == "succeeded", first["error"]
    ask(laptop, EARLY, "early")
    laptop.recorded(PROJECT, [row["customer"] for row in EARLY], len(EARLY))
    later = as_csv(make_rows(60, seed=9, start=START.replace(year=2025)))
    run = laptop.run_of(PROJECT, f"{PROJECT}/2.csv", laptop.drop(f"{PROJECT}/2.csv", later))
    assert run["gate"]["status"] == "passed", run["gate"]
    return Challenged(first, recorded_of(laptop, first["model_version"]), run, evidence_of(laptop, run))


def test_a_challenger_that_too_few_recorded_requests_could_try_is_refused_with_the_reason(
    laptop: DeployedLaptop, challenged: Challenged
) -> None:
    run, evidence, recorded = challenged.run, challenged.evidence, len(challenged.recorded)
    assert recorded == len(EARLY), "what a deployment asks itself is no prediction"
    assert evidence["errors"]["challenger_requests"] == evidence["agreement"]["requests"] == recorded
    assert evidence["errors"]["challenger_errors"] == 0
    assert check_of(evidence, "sample")["outcome"] == "open"
    assert (run["status"], run["shadow"]["verdict"], evidence["verdict"]) == ("refused", "keep", "keep")
    assert run["shadow"]["reasons"] == evidence["reasons"]
    assert any(f"{recorded:,} requests" in reason for reason in evidence["reasons"]), evidence["reasons"]
    assert served_version(laptop) == challenged.first["model_version"]
    shown = laptop.passerelle("runs", "show", run["run_id"]).stdout
    assert f"declared: {REPLAYED_ROWS}" in " ".join(shown.split()), shown
    assert f"`passerelle promote {PROJECT} --version {run['model_version']}` has it tried again" in " ".join(
        shown.split()
    )


def test_what_never_served_is_no_way_back_and_the_way_forward_is_named(
    laptop: DeployedLaptop, challenged: Challenged
) -> None:
    version = challenged.run["model_version"]
    refused = laptop.passerelle("rollback", PROJECT, "--to", version, check=False)
    assert refused.returncode == 3, refused.stdout
    assert f"Version {version} of {PROJECT} was never served" in refused.stderr
    assert f"`passerelle promote {PROJECT} --version {version}`" in refused.stderr
    assert served_version(laptop) == challenged.first["model_version"]


def test_the_challenger_takes_over_when_it_stood_all_that_is_recorded_each_request_once(
    laptop: DeployedLaptop, challenged: Challenged
) -> None:
    rows, first = asked_rows(REPLAYED_ROWS, seed=32), challenged.first["model_version"]
    said = list[float]()
    for begin in range(0, len(rows), TOGETHER):
        answer = ask(laptop, rows[begin : begin + TOGETHER], f"from-{begin}")
        said += [share[1] for share in answer["probabilities"]]
    customers, early = [row["customer"] for row in rows], [row["customer"] for row in EARLY]
    found = laptop.recorded(PROJECT, customers, len(rows)).set_index("entity_id").loc[customers]
    assert found["score"].tolist() == said
    assert set(found["version"]) == {first}
    wait_until(lambda: laptop.delivered(PROJECT)["entity_id"].isin(early).sum() > len(EARLY))

    told = json.loads(laptop.passerelle("--json", "promote", PROJECT, "--reason", "asked for enough").stdout)
    assert (told["served"], told["before"], told["model_version"]) == (True, first, challenged.run["model_version"])
    run = next(run for run in laptop.runs(PROJECT) if run["run_id"] == challenged.run["run_id"])
    evidence, recorded = evidence_of(laptop, run), recorded_of(laptop, first)
    assert len(recorded) == len(challenged.recorded) + len(rows)
    assert evidence["errors"]["challenger_requests"] == evidence["agreement"]["requests"] == len(recorded)
    assert (run["shadow"]["verdict"], evidence["verdict"]) == ("promote", "promote")
    assert {check["outcome"] for check in evidence["checks"] if check["decides"]} == {"holds"}
    assert served_version(laptop) == challenged.run["model_version"]
    assert "served later, by hand" in " ".join(laptop.passerelle("runs", "show", run["run_id"]).stdout.split())
