"""A model is carried with the very bytes that were judged, by the very image that trained it, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from passerelle.aws import clients, image_copy
from passerelle.errors import BundleError, InputError, NotFoundError, SettingsError, TransientError
from passerelle.steps import import_run as step
from passerelle.steps.import_run import import_run
from tests.fakes.registry import Registries, running_registries

from .two_accounts import CARRIED, JOB, PROD, ROLE, STAGING, Staging, bundle_of, settings_of, sha256_of, signed_in
from .world import Aws

REQUEST = {"project": "flights", "run_id": "r1", "attempt": 1}
BUNDLE_KEY = f"flights/training/{JOB}/output/model.tar.gz"


def _keys(account: str) -> dict[str, str]:
    """Keys of an account of moto's."""
    role = f"arn:aws:iam::{account}:role/admin"
    lent = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": lent["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": lent["SecretAccessKey"],
        "AWS_SESSION_TOKEN": lent["SessionToken"],
    }


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, dict[str, str]]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    clients.client.cache_clear()
    with mock_aws():
        yield {account: _keys(account) for account in (STAGING, PROD)}
    clients.client.cache_clear()


@pytest.fixture
def prod(accounts: dict[str, dict[str, str]]) -> Iterator[Aws]:
    with signed_in(accounts[PROD]):
        yield Aws("prod", "prod")


@pytest.fixture
def train(accounts: dict[str, dict[str, str]], prod: Aws) -> Callable[..., Staging]:
    """Return a function that makes staging with its run."""

    def make(bundle: bytes | None = None, **fields: Any) -> Staging:
        with signed_in(accounts[STAGING]):
            return Staging("staging", bundle or bundle_of(), **fields)

    return make


def _carry(prod: Aws, attempt: int = 1, **settings: Any) -> dict[str, Any]:
    return import_run(REQUEST | {"attempt": attempt}, settings_of(prod, **settings), execution_arn="arn:e")


def test_bytes_dataset_evaluation_and_image_are_the_same_here_as_there(
    prod: Aws, train: Callable[..., Staging]
) -> None:
    staging = train()
    assert _carry(prod) == {**REQUEST, "status": "passed"}
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
    _carry(prod)
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
        _carry(prod)
    here = key if zone == "models" else key.replace("/2/", "/1/")
    with pytest.raises(prod.s3.exceptions.NoSuchKey):
        prod.s3.get_object(Bucket=prod.buckets[zone], Key=here)
    assert prod.table.need("flights", "r1").status == "running"


def test_an_artefact_that_is_gone_is_named_with_the_remedy(prod: Aws, train: Callable[..., Staging]) -> None:
    staging = train()
    staging.s3.delete_object(Bucket=staging.buckets["models"], Key=BUNDLE_KEY)
    with pytest.raises(BundleError, match=r"train/model\.tar\.gz of the run cannot be had.*Train again in staging"):
        _carry(prod)


def test_a_bundle_of_another_run_or_dataset_is_refused(prod: Aws, train: Callable[..., Staging]) -> None:
    train(bundle_of(dataset_id="d9"))
    with pytest.raises(BundleError, match="dataset d9"):
        _carry(prod)


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
        _carry(prod)
    assert prod.table.get("flights", "r1") is None


def test_a_run_that_is_unknown_there_is_named(prod: Aws, train: Callable[..., Staging]) -> None:
    train()
    with pytest.raises(NotFoundError, match="no run r7"):
        import_run(REQUEST | {"run_id": "r7"}, settings_of(prod))


def test_a_run_of_this_environment_itself_is_left_alone(prod: Aws, train: Callable[..., Staging]) -> None:
    train()
    own = prod.begin_run(status="succeeded")
    with pytest.raises(InputError, match="trained in prod itself"):
        _carry(prod)
    assert prod.table.need("flights", "r1") == own


def test_a_model_of_another_contract_is_refused(prod: Aws, train: Callable[..., Staging]) -> None:
    train()
    prod.deploy_project(training={"seed": 99})
    with pytest.raises(InputError, match="Deploy the commit of the model's project to prod"):
        _carry(prod)


def test_the_project_is_carried_into_when_no_run_is_at_work(prod: Aws, train: Callable[..., Staging]) -> None:
    train()
    prod.begin_run("r0")
    prod.table.create("flights", "LOCK", run_id="r0", attempt=1, execution_arn="")
    assert _carry(prod) == {**REQUEST, "status": "waiting", "wait_seconds": 1}
    prod.table.delete("flights", "LOCK")
    assert _carry(prod)["status"] == "passed"
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
        _carry(prod)
    before, fetched[:], limit = list(fetched), [], 99
    assert _carry(prod)["status"] == "passed"
    assert set(fetched) == set(staging.record.artefacts) - set(before)
    fetched.clear()
    assert _carry(prod)["status"] == "passed"
    assert not fetched


def test_the_next_attempt_begins_anew_and_the_one_before_changes_nothing_more(
    prod: Aws, train: Callable[..., Staging]
) -> None:
    train()
    _carry(prod)
    prod.table.change("flights", "r1", lambda record: record.model_copy(update={"status": "failed"}))
    assert _carry(prod, attempt=2)["status"] == "passed"
    assert prod.table.need("flights", "r1").attempt == 2
    with pytest.raises(InputError, match="Attempt 1 of run r1 does nothing any more"):
        _carry(prod)


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
    assert _carry(prod)["status"] == status
    gate = prod.table.need("flights", "r1").gate
    assert gate["here"].startswith(says)
    assert gate["status"] == status
    assert any(check["name"] == "not_worse_than_champion_here" for check in gate["checks"]) is (dataset == "d1")


# The role


def test_an_environment_that_lends_no_role_is_named_with_the_remedy(
    prod: Aws, train: Callable[..., Staging], monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.stub import Stubber

    train()
    with Stubber(clients.client("sts")) as sts:
        sts.add_client_error("assume_role", "AccessDenied", "not authorized to perform: sts:AssumeRole", 403)
        with pytest.raises(SettingsError, match=rf"lends no role {ROLE}.*promotion\.gives_to"):
            _carry(prod)


# The image


@pytest.fixture
def registries(accounts: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Registries]:
    with running_registries() as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", found.url)
        found.repository(PROD, "passerelle-prod-carried")
        yield found


@pytest.fixture
def pushed(
    registries: Registries, train: Callable[..., Staging], accounts: dict[str, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> str:  # fmt: skip
    """Staging trained with an image of two layers; returns its digest."""
    monkeypatch.setattr(image_copy, "PART_BYTES", 1000)
    digest = registries.repository(STAGING, "passerelle-staging-training").push(b"a" * 2500, b"b" * 100)
    train(image_uri=f"{STAGING}.dkr.ecr.us-east-1.amazonaws.com/passerelle-staging-training@{digest}")
    registries.accounts[accounts[PROD]["AWS_ACCESS_KEY_ID"]] = PROD
    real = clients.client("sts").assume_role

    def lend(**request: Any) -> Any:
        answer = real(**request)
        registries.accounts[answer["Credentials"]["AccessKeyId"]] = STAGING
        return answer

    monkeypatch.setattr(clients.client("sts"), "assume_role", lend)
    return digest


def test_the_image_is_copied_by_its_digest_and_serves_from_here(prod: Aws, pushed: str, registries: Registries) -> None:
    assert _carry(prod, carried_repository=CARRIED)["status"] == "passed"
    assert prod.table.need("flights", "r1").image_uri == f"{CARRIED}@{pushed}"
    here, there = (registries.repository(account, name) for account, name in (
        (PROD, "passerelle-prod-carried"), (STAGING, "passerelle-staging-training"),
    ))  # fmt: skip
    assert here.manifests == there.manifests
    assert here.layers == there.layers
    sent = len(registries.uploaded)
    assert _carry(prod, carried_repository=CARRIED)["status"] == "passed"
    assert len(registries.uploaded) == sent


def test_a_registry_that_breaks_half_way_is_gone_on_with_after_the_last_whole_layer(
    prod: Aws, pushed: str, registries: Registries
) -> None:
    registries.fail_after = 2  # the configuration, and one of three parts of the first layer
    with pytest.raises(TransientError):
        _carry(prod, carried_repository=CARRIED)
    here = registries.repository(PROD, "passerelle-prod-carried")
    assert (len(here.layers), here.manifests) == (1, {})
    registries.fail_after, registries.uploaded = None, []
    assert _carry(prod, carried_repository=CARRIED)["status"] == "passed"
    assert len(registries.uploaded) == 4


def test_an_image_larger_than_the_time_of_one_call_is_copied_in_several(
    prod: Aws, pushed: str, registries: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "IMAGE_SECONDS", -1.0)
    assert _carry(prod, carried_repository=CARRIED)["status"] == "waiting"
    monkeypatch.undo()


def test_a_layer_that_was_changed_is_refused(prod: Aws, pushed: str, registries: Registries) -> None:
    there = registries.repository(STAGING, "passerelle-staging-training")
    name = next(digest for digest, body in there.layers.items() if body == b"b" * 100)
    there.layers[name] = b"c" * 100
    with pytest.raises(BundleError, match=f"Layer {name}"):
        _carry(prod, carried_repository=CARRIED)
    assert name not in registries.repository(PROD, "passerelle-prod-carried").layers


def test_a_manifest_that_is_not_what_its_digest_says_is_refused(prod: Aws, pushed: str, registries: Registries) -> None:
    registries.repository(STAGING, "passerelle-staging-training").manifests[pushed] += " "
    with pytest.raises(BundleError, match="not what its digest says"):
        _carry(prod, carried_repository=CARRIED)


def test_an_image_that_is_gone_there_is_named_with_the_remedy(prod: Aws, pushed: str, registries: Registries) -> None:
    registries.repository(STAGING, "passerelle-staging-training").manifests.clear()
    with pytest.raises(SettingsError, match=r"has no image passerelle-staging-training@.* any more"):
        _carry(prod, carried_repository=CARRIED)


def test_an_image_by_tag_is_not_carried_to_where_images_have_digests(prod: Aws, train: Callable[..., Staging]) -> None:
    train()
    with pytest.raises(InputError, match="names no digest"):
        _carry(prod, carried_repository=CARRIED)


def test_where_nothing_is_copied_both_environments_must_run_one_image(prod: Aws, train: Callable[..., Staging]) -> None:
    train(image_uri="registry/passerelle-training:other")
    with pytest.raises(InputError, match="Bring both environments to one release"):
        _carry(prod)
