"""The real stacks with their real policies, all over TLS: what a role may not do fails, and nothing else does."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

from laptop.access import Keys, administrator, authority, derived_keys
from laptop.settings import LaptopSettings
from tests.e2e.platform import DeployedLaptop, free_port
from tests.e2e.projects import as_csv, make_rows, project_document, write_project
from tests.laptop_platform import platform_home

PROJECT = "enforced"
#: Whose role loses a permission: it reads what the first job of a run has written.
STEP = "record_dataset"
ROW = {name: value for name, value in make_rows(1, seed=5)[0].items() if name in ("plan", "visits", "age", "seen_at")}


class EnforcedLaptop(DeployedLaptop):
    """A platform that holds everybody to IAM's policies; tests act as its administrator."""

    @cached_property
    def settings(self) -> LaptopSettings:
        return LaptopSettings.from_env(self.environment)

    def client(self, service: str, keys: Keys | None = None) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.settings.endpoint_url,
            region_name=self.settings.region,
            verify=authority(self.settings),
            config=Config(retries={"mode": "standard", "max_attempts": 5}, read_timeout=70),
            **(keys or administrator(self.settings)).arguments(),
        )


@pytest.fixture(scope="module")
def laptop() -> Iterator[EnforcedLaptop]:
    with platform_home() as folder:
        write_project(folder / "projects", project_document(PROJECT, "binary"))
        running = EnforcedLaptop(folder / "home", free_port(), free_port(), folder / "projects")
        try:
            running.passerelle("up", "--enforce")
            running.passerelle("deploy", "--projects-dir", str(running.projects))
            yield running
        finally:
            running.passerelle("down", check=False)


@pytest.fixture(scope="module")
def run(laptop: EnforcedLaptop) -> dict[str, Any]:
    """A run that cannot read what its first job made, for want of one permission, and then can."""
    with _changed_policy(laptop, _function(laptop, STEP)["Role"], without("s3:GetObject")):
        version = laptop.drop(f"{PROJECT}/a.csv", as_csv(make_rows(500)))
        refused = laptop.run_of(PROJECT, f"{PROJECT}/a.csv", version)
    laptop.passerelle("runs", "retry", refused["run_id"])
    return {"refused": refused, "retried": laptop.run_of(PROJECT, f"{PROJECT}/a.csv", version)}


def _function(laptop: EnforcedLaptop, step: str) -> dict[str, Any]:
    pages = laptop.client("lambda").get_paginator("list_functions").paginate()
    (found,) = (
        item for page in pages for item in page["Functions"] if item["Handler"] == f"lambdas.{step}.handler.handler"
    )
    return dict(found)


def without(prefix: str) -> Callable[[list[str]], list[str]]:
    """Return how to take actions away."""
    return lambda given: [action for action in given if not action.startswith(prefix)]


@contextmanager
def _changed_policy(laptop: EnforcedLaptop, role: str, change: Callable[[list[str]], list[str]]) -> Iterator[None]:
    """Change the actions of a deployed role through IAM's API, and give them back."""
    iam, name = laptop.client("iam"), role.rsplit("/", 1)[-1]
    (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
    before = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    after = json.loads(json.dumps(before))
    for statement in after["Statement"]:
        given = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        statement["Action"] = change(given)
    after["Statement"] = [statement for statement in after["Statement"] if statement["Action"]]
    assert after != before
    put = {"RoleName": name, "PolicyName": policy}
    iam.put_role_policy(**put, PolicyDocument=json.dumps(after))
    try:
        yield
    finally:
        iam.put_role_policy(**put, PolicyDocument=json.dumps(before))


def test_a_permission_that_is_missing_fails_the_run_which_names_it(laptop: EnforcedLaptop, run: dict[str, Any]) -> None:
    refused = run["refused"]
    assert (refused["status"], refused["error"]["stage"]) == ("failed", "prepare")
    message = refused["error"]["message"]
    assert "AccessDenied" in message
    role = _function(laptop, STEP)["Role"].rsplit("/", 1)[-1]
    assert f"assumed-role/{role}/" in message
    assert "s3:GetObject" in message


def test_with_the_deployed_policies_a_dropped_file_becomes_a_served_model(
    laptop: EnforcedLaptop, run: dict[str, Any]
) -> None:
    retried = run["retried"]
    assert (retried["status"], retried["attempt"]) == ("succeeded", 2), retried["error"]
    answer = laptop.predict(PROJECT, [ROW])
    assert answer["predictions"][0] in (0, 1)
    assert answer["model"]["run_id"] == retried["run_id"]
    told = json.loads(laptop.passerelle("--json", "predict", PROJECT, "--row", json.dumps(ROW)).stdout)
    assert told["predictions"] == answer["predictions"]


def test_the_ledger_is_metered_with_the_policies_of_its_role(laptop: EnforcedLaptop, run: dict[str, Any]) -> None:
    asked = ("cost", "ledger", "--project", PROJECT, "--meter", "now", "--by", "stage", "--json")
    told = laptop.passerelle(*asked)
    assert "not metered" not in told.stderr
    document = json.loads(told.stdout)
    assert {"prepare", "train", "evaluate", "serve", "pipeline"} <= set(document["groups"])
    assert document["runs"][run["retried"]["run_id"]]["usd"] > 0
    # The platform's own functions, which no state machine calls, are nobody's.
    own = json.loads(laptop.passerelle("cost", "ledger", "--json").stdout)["own"]
    assert own["lines"] > 0


def test_a_job_reads_with_its_role_only(laptop: EnforcedLaptop, run: dict[str, Any]) -> None:
    sagemaker = laptop.client("sagemaker")
    name = run["retried"]["stages"][1]["job_name"]
    job = sagemaker.describe_processing_job(ProcessingJobName=name)
    kept = ("ProcessingInputs", "ProcessingOutputConfig", "ProcessingResources", "AppSpecification", "RoleArn")
    request = {key: job[key] for key in kept}
    with _changed_policy(laptop, job["RoleArn"], without("kms:Decrypt")):
        sagemaker.create_processing_job(ProcessingJobName=f"{name}-again", **request)
        with pytest.raises(WaiterError, match="terminal failure"):
            sagemaker.get_waiter("processing_job_completed_or_stopped").wait(
                ProcessingJobName=f"{name}-again", WaiterConfig={"Delay": 1, "MaxAttempts": 120}
            )
    reason = sagemaker.describe_processing_job(ProcessingJobName=f"{name}-again")["FailureReason"]
    assert "AccessDenied" in reason
    assert "kms:Decrypt" in reason


@pytest.mark.parametrize("service", ["s3", "dynamodb", "sagemaker", "iam"])
@pytest.mark.parametrize(
    "keys",
    [Keys("AKIAUNKNOWNUNKNOWN00", "x"), Keys("test", "test"), Keys("000000000000", "test")],
    ids=["unknown", "the usual ones of an open platform", "an account number"],
)
def test_credentials_that_nobody_gave_out_are_refused(laptop: EnforcedLaptop, keys: Keys, service: str) -> None:
    ask = {"s3": "list_buckets", "dynamodb": "list_tables", "sagemaker": "list_models", "iam": "list_roles"}[service]
    with pytest.raises(ClientError) as refused:
        getattr(laptop.client(service, keys), ask)()
    assert refused.value.response["Error"]["Code"] in (
        "InvalidAccessKeyId", "UnrecognizedClientException", "InvalidClientTokenId"
    )  # fmt: skip


def test_the_administrators_key_with_another_secret_is_refused(laptop: EnforcedLaptop) -> None:
    keys = Keys(administrator(laptop.settings).access_key_id, "guessed")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        laptop.client("s3", keys).list_buckets()


def test_plain_http_is_refused(laptop: EnforcedLaptop) -> None:
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        urllib.request.urlopen(f"http://127.0.0.1:{laptop.port}/_passerelle/status", timeout=10)


def test_who_does_not_trust_the_homes_authority_gets_no_connection(laptop: EnforcedLaptop) -> None:
    with pytest.raises(urllib.error.URLError) as refused:
        urllib.request.urlopen(f"{laptop.settings.endpoint_url}/", timeout=10, context=ssl.create_default_context())
    assert isinstance(refused.value.reason, ssl.SSLCertVerificationError)


def test_a_zone_refuses_what_did_not_come_over_tls(laptop: EnforcedLaptop, run: dict[str, Any]) -> None:
    job = laptop.client("sagemaker").describe_processing_job(ProcessingJobName=run["retried"]["stages"][1]["job_name"])
    s3 = laptop.client("s3", derived_keys(laptop.settings, f"{job['RoleArn']}/SageMaker"))
    asked = {"Bucket": laptop.raw_bucket, "Key": f"{PROJECT}/a.csv"}
    assert s3.get_object(**asked)["ContentLength"]

    def in_clear(request: Any, **_: Any) -> None:
        request.headers["X-Forwarded-Proto"] = "http"

    # The listener itself takes nothing but TLS; so the request says that a proxy got it in clear.
    s3.meta.events.register("before-send.s3.*", in_clear)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(**asked)


def test_the_keys_of_the_home_are_for_its_owner_only(laptop: EnforcedLaptop) -> None:
    for path in (Path("administrator.json"), Path("tls/server.key")):
        assert (laptop.home / path).stat().st_mode & 0o077 == 0
