"""What a challenger answered in the shadow decides whether it takes over, and is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from passerelle.contracts.experiment import ShadowEvidence

from .test_changing_endpoints import ENDPOINT, REAL, Deployments, deployments, seen

__all__ = ["deployments"]

SHADOW = {"shadow": {"percent": 100, "hours": 24, "requests": 300}}


@pytest.fixture
def patient(deployments: Deployments, monkeypatch: pytest.MonkeyPatch) -> Deployments:
    """An environment that waits as long as projects declare, and a champion that serves."""
    monkeypatch.setenv("PASSERELLE_ROLLOUT_WAIT_SECONDS", str(30 * 24 * 3_600))
    deployments.deploy("r1", **REAL)
    deployments.seen = {"champion": seen(400), "challenger": seen(400)}
    return deployments


def capture(deployments: Deployments, variant: str, scores: list[float], begin: int = 0) -> None:
    """Leave what SageMaker captures of a variant: one request a score, with an id of its own for each copy."""
    lines = []
    for number, score in enumerate(scores, begin):
        body = {"dataframe_records": [{"carrier": "AA", "flight": number}]}
        answer = {"predictions": [str(score >= 0.5)], "probabilities": [[1 - score, score]]}
        sides = {
            side: {"observedContentType": "application/json", "mode": mode, "encoding": "JSON", "data": json.dumps(it)}
            for side, mode, it in (("endpointInput", "INPUT", body), ("endpointOutput", "OUTPUT", answer))
        }
        about = {"eventId": f"{variant}-{number}", "inferenceTime": "2026-11-22T02:00:00Z"}
        lines.append(json.dumps({"captureData": sides, "eventMetadata": about, "eventVersion": "0"}))
    key = f"flights/capture/{ENDPOINT}/{variant}/{datetime.now(UTC):%Y/%m/%d/%H}/00-{begin}.jsonl"
    body_of = "\n".join(lines).encode()
    deployments.aws.s3.put_object(Bucket=deployments.aws.buckets["predictions"], Key=key, Body=body_of)


def scores(count: int = 400) -> list[float]:
    return [(number * 37 % 101) / 101 for number in range(count)]


def evidence(deployments: Deployments) -> ShadowEvidence:
    found = deployments.aws.s3.get_object(Bucket=deployments.aws.buckets["reports"], Key="flights/runs/r2/shadow.json")
    return ShadowEvidence.model_validate_json(found["Body"].read())


def record(deployments: Deployments) -> dict[str, Any]:
    return deployments.aws.table.need("flights", "r2").shadow


def test_a_challenger_that_says_the_same_takes_over_and_its_evidence_is_kept(patient: Deployments) -> None:
    capture(patient, "champion", scores())
    capture(patient, "challenger", [score * 0.98 for score in scores()])
    machine = patient.deploy("r2", **REAL, **SHADOW)
    assert "PromoteModel" in machine.visited
    assert machine.events["RecordShadow"]["shadow"]["wait_seconds"] == 24 * 3_600
    found = evidence(patient)
    assert (found.verdict, found.unpaired, found.unreadable) == ("promote", 0, 0)
    assert found.agreement is not None
    assert found.agreement.requests == 400
    assert record(patient) == {
        "verdict": "promote",
        "reasons": list(found.reasons),
        "evidence": f"s3://{patient.aws.buckets['reports']}/flights/runs/r2/shadow.json",
    }


def test_a_challenger_that_says_something_else_is_withdrawn_and_the_run_is_refused(patient: Deployments) -> None:
    champion = patient.serves
    capture(patient, "champion", scores())
    capture(patient, "challenger", [1 - score for score in scores()])
    machine = patient.deploy("r2", **REAL, **SHADOW)
    assert patient.serves == champion
    assert "PutErrorAlarm" not in machine.visited
    assert patient.output["status"] == "refused"
    assert "decisions agree: 0.00 %" in patient.output["verdict"]
    assert record(patient)["verdict"] == "reject"
    assert patient.aws.table.need("flights", "r2").stages[-1].status == "done"


def test_a_challenger_that_fails_requests_or_is_slow_is_withdrawn_with_both_reasons(patient: Deployments) -> None:
    capture(patient, "champion", scores())
    capture(patient, "challenger", scores())
    patient.seen["challenger"] = seen(400, errors=40, p99_ms=2_000)
    patient.deploy("r2", **REAL, **SHADOW)
    assert [reason.partition(" of ")[0] for reason in record(patient)["reasons"]] == ["it failed 40", "p99"]


def test_too_few_requests_are_waited_for_for_three_days_and_then_the_champion_is_kept(patient: Deployments) -> None:
    capture(patient, "champion", scores(50))
    capture(patient, "challenger", scores(50))
    patient.seen["challenger"] = seen(50)
    machine = patient.deploy("r2", **REAL, **SHADOW)
    assert machine.visited.count("WatchShadow") == 3
    assert machine.visited.count("CompareAnswers") == 1
    assert (record(patient)["verdict"], patient.output["status"]) == ("keep", "refused")
    assert "50 requests in 72 hours of the shadow (declared: 300 in 24)" in record(patient)["reasons"][0]


def test_a_hurried_environment_waits_for_nothing_that_is_open_but_takes_no_challenger_that_fails(
    deployments: Deployments,
) -> None:
    deployments.deploy("r1", **REAL)
    champion = deployments.serves
    deployments.seen["challenger"] = seen(90, errors=60)
    deployments.deploy("r2", **REAL, **SHADOW)
    assert deployments.serves == champion
    deployments.seen["challenger"] = seen(0)
    deployments.deploy("r3", **REAL, **SHADOW)
    assert deployments.serves != champion
    (reason,) = deployments.aws.table.need("flights", "r3").shadow["reasons"]
    assert reason.startswith("this environment cuts the shadow to 0.017 hours")


def test_a_challenger_that_cannot_be_judged_leaves_the_shadow_and_the_run_fails_with_the_jobs_words(
    patient: Deployments,
) -> None:
    champion = patient.serves
    patient.job_fails = "no space left on device"
    with pytest.raises(AssertionError, match=r"ShadowWithdrawn: .*could not be judged: no space left on device"):
        patient.deploy("r2", **REAL, **SHADOW)
    assert patient.serves == champion


def test_requests_that_only_one_was_captured_of_and_broken_lines_are_counted_and_cost_the_others_nothing(
    patient: Deployments,
) -> None:
    capture(patient, "champion", scores(380))
    capture(patient, "challenger", scores(400))
    bucket, folder = patient.aws.buckets["predictions"], f"flights/capture/{ENDPOINT}/challenger"
    key = f"{folder}/{datetime.now(UTC):%Y/%m/%d/%H}/99-broken.jsonl"
    patient.aws.s3.put_object(Bucket=bucket, Key=key, Body=b'{"captureData": {"endpo\n\n[]\n')
    patient.deploy("r2", **REAL, **SHADOW)
    found = evidence(patient)
    assert (found.unpaired, found.unreadable) == (20, 2)
    assert found.agreement is not None
    assert found.agreement.requests == 380
