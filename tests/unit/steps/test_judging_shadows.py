"""What a challenger answered in the shadow decides whether it takes over, and is kept."""

from __future__ import annotations

import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.jobs.transfer import upload_folder
from passerelle.contracts.experiment import ShadowEvidence
from tests.serving import make_bundle, rows_of
from tests.unit.training.test_replay import record

from .test_changing_endpoints import ENDPOINT, REAL, Deployments, deployments, seen

__all__ = ["deployments"]

SERVERLESS = {"profile": "serverless", "capture_percent": None, "instance_count": 1}
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


def told(deployments: Deployments) -> dict[str, Any]:
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
    kept = told(patient)
    assert datetime.fromisoformat(kept.pop("judged_at")) <= datetime.now(UTC)
    assert kept == {
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
    assert machine.visited.count("PutAlarms") == 1, "of the shadow, none of a challenger that never serves"
    assert patient.alarm_names() == {champion.rpartition("-")[2]}, "and they go with it"
    assert patient.output["status"] == "refused"
    assert "decisions agree: 0.00 %" in patient.output["verdict"]
    assert told(patient)["verdict"] == "reject"
    assert patient.aws.table.need("flights", "r2").stages[-1].status == "done"


def test_a_challenger_that_fails_requests_or_is_slow_is_withdrawn_with_both_reasons(patient: Deployments) -> None:
    capture(patient, "champion", scores())
    capture(patient, "challenger", scores())
    patient.seen["challenger"] = seen(400, errors=40, p99_ms=2_000)
    patient.deploy("r2", **REAL, **SHADOW)
    assert [reason.partition(" of ")[0] for reason in told(patient)["reasons"]] == ["it failed 40", "p99"]


def test_too_few_requests_are_waited_for_for_three_days_and_then_the_champion_is_kept(patient: Deployments) -> None:
    capture(patient, "champion", scores(50))
    capture(patient, "challenger", scores(50))
    patient.seen["challenger"] = seen(50)
    machine = patient.deploy("r2", **REAL, **SHADOW)
    assert machine.visited.count("WatchShadow") == 3
    assert machine.visited.count("CompareAnswers") == 1
    assert (told(patient)["verdict"], patient.output["status"]) == ("keep", "refused")
    assert "50 requests in 72 hours of the shadow (declared: 300 in 24)" in told(patient)["reasons"][0]


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


@pytest.mark.parametrize(("threshold", "verdict"), [(0.4, "promote"), (0.9, "reject")])
def test_without_a_shadow_variant_what_was_asked_the_champion_is_asked_the_challenger_before_it_serves(
    deployments: Deployments, tmp_path: Path, threshold: float, verdict: str
) -> None:
    deployments.deploy("r1", **SERVERLESS)
    champion, today = deployments.serves, datetime.now(UTC)
    served = make_bundle("binary", tmp_path / "champion", candidate="logistic", threshold=0.4, rows=300)
    recorded = tmp_path / "recorded"
    record(served, recorded, rows_of(400), event_time=today.replace(tzinfo=None))
    upload_folder(
        deployments.aws.s3, recorded, f"s3://{deployments.aws.buckets['predictions']}/flights/records/{today:%Y-%m-%d}"
    )
    make_bundle("binary", tmp_path / "model", candidate="logistic", threshold=threshold, rows=300)
    put_bundle(deployments, tmp_path / "model")
    machine = deployments.deploy("r2", **SERVERLESS, shadow={"hours": 1, "requests": 300})
    assert "WatchShadow" not in machine.visited
    assert "CreateConfigOfBoth" not in machine.visited
    found = evidence(deployments)
    assert found.verdict == verdict
    assert found.errors is not None
    assert (found.errors.challenger_requests, found.errors.challenger_errors) == (400, 0)
    assert (deployments.serves != champion, len(deployments.updates)) == (
        (True, 1) if verdict == "promote" else (False, 0)
    )
    assert ("PromoteModel" in machine.visited) == (verdict == "promote")


def put_bundle(deployments: Deployments, folder: Path) -> None:
    """Leave the challenger's model.tar.gz where training does."""
    packed = folder.parent / "model.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    deployments.aws.s3.upload_file(str(packed), deployments.aws.buckets["models"], "flights/r2/model.tar.gz")
