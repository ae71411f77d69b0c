"""A model is carried with the very bytes that were judged, by the very image that trained it, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from passerelle.aws import clients
from passerelle.contracts.container import Resampled
from passerelle.errors import BundleError, InputError, NotFoundError, SettingsError
from passerelle.steps import import_run as step
from passerelle.steps.import_run import import_run

from . import results
from .two_accounts import (
    JOB,
    REQUEST,
    ROLE,
    STAGING,
    Staging,
    bundle_of,
    carry_run,
    settings_of,
    sha256_of,
)
from .world import Aws

BUNDLE_KEY = f"flights/training/{JOB}/output/model.tar.gz"


def test_bytes_dataset_evaluation_and_image_are_the_same_here_as_there(
    prod: Aws, train: Callable[..., Staging]
) -> None:
    staging = train()
    assert carry_run(prod) == {**REQUEST, "status": "passed"}
    run = prod.table.need("flights", "r1")
    assert run.artefacts == staging.record.artefacts
    assert sha256_of(prod, "models", BUNDLE_KEY) == staging.record.artefacts["train/model.tar.gz"]
    for name in ("prepare/result.json", "evaluate/result.json", "evaluate/card.md"):
        stage, _, rest = name.partition("/")
        assert sha256_of(prod, "curated", f"flights/runs/r1/1/{stage}/{rest}") == staging.record.artefacts[name]
    assert sha256_of(prod, "reports", "flights/runs/r1/card.md") == staging.record.artefacts["evaluate/card.md"]
    assert (run.dataset_id, run.image_uri, run.chosen) == ("d1", staging.record.image_uri, "forest")
    assert run.gate["test_metrics"] == staging.record.gate["test_metrics"]
    assert run.origin is not None
    assert run.origin.model_dump() == {
        "environment": "staging", "account": STAGING, "attempt": 2, "image_uri": staging.record.image_uri,
        "git_sha": "0123abc", "lock_hash": "l0ck",
    }  # fmt: skip


def test_what_training_cost_there_is_told_here_and_not_counted_again(prod: Aws, train: Callable[..., Staging]) -> None:
    train()
    carry_run(prod)
    stages = {stage.stage: stage for stage in prod.table.need("flights", "r1").stages}
    assert [(name, stage.status) for name, stage in stages.items()] == [
        ("train", "done"), ("carry", "done"), ("register", "running"),
    ]  # fmt: skip
    assert (stages["train"].job_name, stages["train"].cost_usd, stages["train"].instance_type) == (JOB, 0.0, None)


@pytest.mark.parametrize(
    ("zone", "ending", "name"),
    [
        ("models", "model.tar.gz", r"train/model\.tar\.gz"),
        ("models", "output.tar.gz", r"train/output\.tar\.gz"),
        ("curated", "evaluate/result.json", r"evaluate/result\.json"),
        ("curated", "card.md", r"evaluate/card\.md"),
    ],
)
def test_an_artefact_that_was_changed_after_the_gate_judged_it_is_refused_by_its_name(
    prod: Aws, train: Callable[..., Staging], zone: str, ending: str, name: str
) -> None:
    key = train().tamper(zone, ending)
    with pytest.raises(BundleError, match=rf"{name} \(s3://staging-{zone}/{key}\).*its run recorded"):
        carry_run(prod)
    here = key if zone == "models" else key.replace("/2/", "/1/")
    with pytest.raises(prod.s3.exceptions.NoSuchKey):
        prod.s3.get_object(Bucket=prod.buckets[zone], Key=here)
    assert prod.table.need("flights", "r1").status == "running"


def test_an_artefact_that_is_gone_is_named_with_the_remedy(prod: Aws, train: Callable[..., Staging]) -> None:
    staging = train()
    staging.s3.delete_object(Bucket=staging.buckets["models"], Key=BUNDLE_KEY)
    with pytest.raises(BundleError, match=r"train/model\.tar\.gz of the run cannot be had.*Train again in staging"):
        carry_run(prod)


def test_a_bundle_of_another_run_or_dataset_is_refused(prod: Aws, train: Callable[..., Staging]) -> None:
    train(bundle_of(dataset_id="d9"))
    with pytest.raises(BundleError, match="dataset d9"):
        carry_run(prod)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status": "refused"}, "is refused in staging"),
        ({"status": "failed"}, "is failed in staging"),
        ({"artefacts": {}}, "recorded by an earlier version"),
        ({"image_uri": None}, "its image"),
    ],
)
def test_only_a_run_that_was_accepted_and_can_be_verified_is_carried(
    prod: Aws, train: Callable[..., Staging], fields: dict[str, Any], says: str
) -> None:
    train(**fields)
    with pytest.raises(InputError, match=says):
        carry_run(prod)
    assert prod.table.get("flights", "r1") is None


def test_a_run_that_is_unknown_there_is_named(prod: Aws, train: Callable[..., Staging]) -> None:
    train()
    with pytest.raises(NotFoundError, match="no run r7"):
        import_run(REQUEST | {"run_id": "r7"}, settings_of(prod))


def test_a_run_of_this_environment_itself_is_left_alone(prod: Aws, train: Callable[..., Staging]) -> None:
    train()
    own = prod.begin_run(status="succeeded")
    with pytest.raises(InputError, match="trained in prod itself"):
        carry_run(prod)
    assert prod.table.need("flights", "r1") == own


def test_a_model_of_another_contract_is_refused(prod: Aws, train: Callable[..., Staging]) -> None:
    train()
    prod.deploy_project(training={"seed": 99})
    with pytest.raises(InputError, match="Deploy the commit of the model's project to prod"):
        carry_run(prod)


def test_the_project_is_carried_into_when_no_run_is_at_work(prod: Aws, train: Callable[..., Staging]) -> None:
    train()
    prod.begin_run("r0")
    prod.table.create("flights", "LOCK", run_id="r0", attempt=1, execution_arn="")
    assert carry_run(prod) == {**REQUEST, "status": "waiting", "wait_seconds": 1}
    prod.table.delete("flights", "LOCK")
    assert carry_run(prod)["status"] == "passed"
    assert (prod.table.item("flights", "LOCK") or {})["run_id"] == "r1"


def test_killed_half_way_and_started_again_it_fetches_only_what_is_missing(
    prod: Aws, train: Callable[..., Staging], monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = train()
    real, limit = step._fetch, 2
    fetched: list[str] = []

    def fetch(*arguments: Any) -> None:
        if len(fetched) == limit:
            raise KeyboardInterrupt
        fetched.append(arguments[3])
        real(*arguments)

    monkeypatch.setattr(step, "_fetch", fetch)
    with pytest.raises(KeyboardInterrupt):
        carry_run(prod)
    before, fetched[:], limit = list(fetched), [], 99
    assert carry_run(prod)["status"] == "passed"
    assert set(fetched) == set(staging.record.artefacts) - set(before)
    fetched.clear()
    assert carry_run(prod)["status"] == "passed"
    assert not fetched


def test_the_next_attempt_begins_anew_and_the_one_before_changes_nothing_more(
    prod: Aws, train: Callable[..., Staging]
) -> None:
    train()
    carry_run(prod)
    prod.table.change("flights", "r1", lambda record: record.model_copy(update={"status": "failed"}))
    assert carry_run(prod, attempt=2)["status"] == "passed"
    assert prod.table.need("flights", "r1").attempt == 2
    with pytest.raises(InputError, match="Attempt 1 of run r1 does nothing any more"):
        carry_run(prod)


# The gate


@pytest.mark.parametrize(
    ("dataset", "score", "status", "says"),
    [
        ("d1", 0.9, "refused", "Compared with the champion here"),
        ("d1", 0.7, "passed", "Compared with the champion here"),
        ("d2", 0.9, "passed", "Not compared with the champion here"),
    ],
)
def test_scores_are_compared_only_on_the_same_test_data(
    prod: Aws, train: Callable[..., Staging], dataset: str, score: float, status: str, says: str
) -> None:
    train()
    prod.begin_run("r0", dataset_id=dataset, gate={"metric": "roc_auc", "test_metrics": {"roc_auc": score}})
    prod.table.put("flights", "CHAMPION", run_id="r0", model_version="1")
    assert carry_run(prod)["status"] == status
    gate = prod.table.need("flights", "r1").gate
    assert gate["here"].startswith(says)
    assert gate["status"] == status
    assert any(check["name"] == "not_worse_than_champion_here" for check in gate["checks"]) is (dataset == "d1")


def test_the_champions_resamples_are_read_from_what_it_left_here(prod: Aws, train: Callable[..., Staging]) -> None:
    """Its score is within the margin; row by row it is better in two of three resamples."""
    train()
    prod.begin_run("r0", dataset_id="d1", gate={"metric": "roc_auc", "test_metrics": {"roc_auc": 0.805}})
    champion = results.evaluated().model_copy(update={"resampled": Resampled(draws="same", scores=(0.83, 0.8, 0.83))})
    results.put_result(prod, "evaluate", champion.model_dump_json(), run_id="r0")
    prod.table.put("flights", "CHAMPION", run_id="r0", model_version="1")
    assert carry_run(prod)["status"] == "refused"
    assert "33.3 % sure (required 80 %)" in prod.table.need("flights", "r1").gate["reasons"][0]


# The role


def test_an_environment_that_lends_no_role_is_named_with_the_remedy(
    prod: Aws, train: Callable[..., Staging], monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.stub import Stubber

    train()
    with Stubber(clients.client("sts")) as sts:
        sts.add_client_error("assume_role", "AccessDenied", "not authorized to perform: sts:AssumeRole", 403)
        with pytest.raises(SettingsError, match=rf"lends no role {ROLE}.*promotion\.gives_to"):
            carry_run(prod)
