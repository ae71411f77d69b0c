"""The image that trained a model is copied by its digest, whole, or the model is not carried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from passerelle.aws import clients, image_copy
from passerelle.aws.runs_table import RunsTable
from passerelle.errors import BundleError, InputError, SettingsError, TransientError
from passerelle.steps import import_run as step
from tests.fakes.registry import Registries, running_registries

from .two_accounts import (
    CARRIED,
    PROD,
    STAGING,
    Staging,
    carry_run,
)
from .world import Aws


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
    assert carry_run(prod, carried_repository=CARRIED)["status"] == "passed"
    assert prod.table.need("flights", "r1").image_uri == f"{CARRIED}@{pushed}"
    here, there = (registries.repository(account, name) for account, name in (
        (PROD, "passerelle-prod-carried"), (STAGING, "passerelle-staging-training"),
    ))  # fmt: skip
    assert here.manifests == there.manifests
    assert here.layers == there.layers
    sent = len(registries.uploaded)
    assert carry_run(prod, carried_repository=CARRIED)["status"] == "passed"
    assert len(registries.uploaded) == sent


def test_of_a_run_that_a_gpu_trained_the_image_that_serves_is_copied(
    prod: Aws, pushed: str, accounts: dict[str, dict[str, str]]
) -> None:
    trained_by = f"{STAGING}.dkr.ecr.us-east-1.amazonaws.com/passerelle-staging-training-gpu@sha256:{'9' * 64}"
    serving = f"{STAGING}.dkr.ecr.us-east-1.amazonaws.com/passerelle-staging-training@{pushed}"
    images = {"image_uri": trained_by, "serving_image_uri": serving}
    keys = accounts[STAGING]
    session = boto3.Session(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], keys["AWS_SESSION_TOKEN"])
    there = RunsTable(session.client("dynamodb"), "staging-runs")
    there.change("flights", "r1", lambda record: record.model_copy(update=images))
    assert carry_run(prod, carried_repository=CARRIED)["status"] == "passed"
    run = prod.table.need("flights", "r1")
    assert (run.served_by, run.serving_image_uri) == (f"{CARRIED}@{pushed}", None)
    assert run.origin
    assert run.origin.image_uri == trained_by


def test_a_registry_that_breaks_half_way_is_gone_on_with_after_the_last_whole_layer(
    prod: Aws, pushed: str, registries: Registries
) -> None:
    registries.fail_after = 2  # the configuration, and one of three parts of the first layer
    with pytest.raises(TransientError):
        carry_run(prod, carried_repository=CARRIED)
    here = registries.repository(PROD, "passerelle-prod-carried")
    assert (len(here.layers), here.manifests) == (1, {})
    registries.fail_after, registries.uploaded = None, []
    assert carry_run(prod, carried_repository=CARRIED)["status"] == "passed"
    assert len(registries.uploaded) == 4


def test_an_image_larger_than_the_time_of_one_call_is_copied_in_several(
    prod: Aws, pushed: str, registries: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "IMAGE_SECONDS", -1.0)
    assert carry_run(prod, carried_repository=CARRIED)["status"] == "waiting"
    monkeypatch.undo()


def test_a_layer_that_was_changed_is_refused(prod: Aws, pushed: str, registries: Registries) -> None:
    there = registries.repository(STAGING, "passerelle-staging-training")
    name = next(digest for digest, body in there.layers.items() if body == b"b" * 100)
    there.layers[name] = b"c" * 100
    with pytest.raises(BundleError, match=f"Layer {name}"):
        carry_run(prod, carried_repository=CARRIED)
    assert name not in registries.repository(PROD, "passerelle-prod-carried").layers


def test_a_manifest_that_is_not_what_its_digest_says_is_refused(prod: Aws, pushed: str, registries: Registries) -> None:
    registries.repository(STAGING, "passerelle-staging-training").manifests[pushed] += " "
    with pytest.raises(BundleError, match="not what its digest says"):
        carry_run(prod, carried_repository=CARRIED)


def test_an_image_that_is_gone_there_is_named_with_the_remedy(prod: Aws, pushed: str, registries: Registries) -> None:
    registries.repository(STAGING, "passerelle-staging-training").manifests.clear()
    with pytest.raises(SettingsError, match=r"has no image passerelle-staging-training@.* any more"):
        carry_run(prod, carried_repository=CARRIED)


def test_an_image_by_tag_is_not_carried_to_where_images_have_digests(prod: Aws, train: Callable[..., Staging]) -> None:
    train()
    with pytest.raises(InputError, match="names no digest"):
        carry_run(prod, carried_repository=CARRIED)


def test_where_nothing_is_copied_both_environments_must_run_one_image(prod: Aws, train: Callable[..., Staging]) -> None:
    train(image_uri="registry/passerelle-training:other")
    with pytest.raises(InputError, match="Bring both environments to one release"):
        carry_run(prod)
