"""A real model goes from one account of the embedded AWS to another and answers there with the very same bytes.

The state machine is the shipped one, the functions are the shipped handlers, the registry is a real MLflow server.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from passerelle.contracts.archive import unpack
from passerelle.errors import BundleError
from passerelle.settings import RegisterModelSettings
from tests import serving
from tests.laptop_platform import LaptopPlatform, unique
from tests.serving import GOOD_ROW, make_bundle, rows_of, running_server
from tests.unit.steps.machine import Machine
from tests.unit.steps.two_accounts import JOB, PROD, STAGING, Staging, settings_of, signed_in
from tests.unit.steps.world import Aws, embedded

BUNDLE_KEY = f"flights/training/{JOB}/output/model.tar.gz"
#: Dies by SIGKILL when it is about to write the third artefact.
KILLER = """
import json, os, signal, sys
from passerelle.aws.objects import Objects
from passerelle.settings import ImportRunSettings
from passerelle.steps.import_run import import_run

real, written = Objects.write_file, []

def die(self, *arguments):
    if len(written) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(arguments)
    real(self, *arguments)

Objects.write_file = die
import_run(json.loads(sys.argv[1]), ImportRunSettings(**json.loads(sys.argv[2])), execution_arn=sys.argv[3])
"""


def _keys(account: str) -> dict[str, str]:
    """The embedded AWS takes twelve digits as the key of that account."""
    return {"AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A model that was really fitted, packed as SageMaker packs it."""
    real = serving._metadata
    known = {"run_id": "r1", "dataset_id": "d1"}
    monkeypatch.setattr(serving, "_metadata", lambda *given: real(*given).replaced(**known))
    make_bundle("binary", tmp_path / "fitted")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "fitted", arcname=".")
    return (tmp_path / "model.tar.gz").read_bytes()


class Carried:
    """Both environments, and the way between them."""

    def __init__(self, platform: LaptopPlatform, bundle: bytes) -> None:
        name, self.uri = unique("carry"), platform.settings.mlflow_url
        with signed_in(_keys(STAGING)):
            self.staging = Staging(f"{name}-staging", bundle)
        self.prod = Aws(f"{name}-prod", unique("prod"))
        self.execution = self.prod.execution_arn("r1")
        self.prod.sfn.start_execution(stateMachineArn=self.prod.pipeline, name="flights-r1-1", input="{}")
        self.settings = settings_of(self.prod)
        registry = RegisterModelSettings(
            **self.prod.shared, zones=self.prod.buckets, tracking_uri=self.uri, git_sha="here", lock_hash="here"
        )
        self.environ = self.settings.to_env() | registry.to_env()
        self.deployed: list[dict[str, Any]] = []

    def _deploy(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self.deployed.append(arguments["Input"])
        return {}

    def run(self) -> tuple[list[str], Any]:
        """Walk through the state machine; returns the states and the last output."""
        machine = Machine(
            "import_model.asl.json",
            {"DeployModel": self._deploy},
            {"Id": self.execution, "Name": "flights-r1-1"},
        )
        answer = machine.run({"project": "flights", "run_id": "r1", "attempt": 1})
        return machine.visited, answer

    def object(self, world: Aws, zone: str, key: str) -> bytes:
        return bytes(world.s3.get_object(Bucket=world.buckets[zone], Key=key)["Body"].read())


@pytest.fixture
def carried(platform: LaptopPlatform, bundle: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Carried]:
    with embedded(platform.settings, monkeypatch), signed_in(_keys(PROD)):
        found = Carried(platform, bundle)
        for name, value in found.environ.items():
            monkeypatch.setenv(name, value)
        yield found


def _answers(archive: bytes, folder: Path) -> list[bytes]:
    """Serve a bundle as SageMaker would, and ask it."""
    folder.mkdir()
    (folder / "model.tar.gz").write_bytes(archive)
    unpack(folder / "model.tar.gz", folder / "model")
    rows = rows_of(20)
    table = {
        "dataframe_split": {"columns": list(rows), "data": [list(row) for row in zip(*rows.values(), strict=True)]}
    }
    with running_server(folder) as server:
        return [server.post(body).content for body in ({"dataframe_records": [GOOD_ROW]}, table)]


def test_the_carried_model_predicts_byte_for_byte_what_it_predicted_where_it_was_trained(
    carried: Carried, bundle: bytes, tmp_path: Path
) -> None:
    visited, answer = carried.run()
    assert visited == ["ImportRun", "IsRunHere", "RegisterModel", "IsModelAccepted", "DeployModel", "CloseRun"]
    assert answer["status"] == "succeeded"
    here = carried.object(carried.prod, "models", BUNDLE_KEY)
    assert hashlib.sha256(here).hexdigest() == carried.staging.record.artefacts["train/model.tar.gz"]
    there = _answers(bundle, tmp_path / "there")
    assert b"predictions" in there[0]
    assert _answers(here, tmp_path / "here") == there
    run = carried.prod.table.need("flights", "r1")
    assert (run.dataset_id, run.image_uri) == (carried.staging.record.dataset_id, carried.staging.record.image_uri)
    assert carried.deployed[0]["model_data_url"] == f"s3://{carried.prod.buckets['models']}/{BUNDLE_KEY}"
    assert run.cost is not None
    assert not [part for part in run.cost.parts if part.name == "train"]


def test_the_registry_says_where_the_model_comes_from_and_which_commit_trained_it(carried: Carried) -> None:
    carried.run()
    client = MlflowClient(carried.uri, carried.uri)
    (version,) = client.search_model_versions(f"name = 'flights-{carried.prod.environment}'")
    known = {
        name: version.tags[f"passerelle.{name}"] for name in ("origin", "origin_account", "origin_run", "dataset_id")
    }
    assert known == {"origin": "staging", "origin_account": STAGING, "origin_run": "r1-2", "dataset_id": "d1"}
    experiment = client.get_experiment_by_name(f"flights-{carried.prod.environment}")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.data.tags["passerelle.git_sha"] for run in runs} == {"0" * 40}


def test_a_changed_bundle_is_named_and_nothing_of_it_reaches_the_other_account(carried: Carried) -> None:
    with signed_in(_keys(STAGING)):
        carried.staging.tamper("models", "model.tar.gz")
    with pytest.raises(BundleError, match=r"train/model\.tar\.gz .*its run recorded"):
        carried.run()
    assert not carried.deployed
    with pytest.raises(carried.prod.s3.exceptions.NoSuchKey):
        carried.object(carried.prod, "models", BUNDLE_KEY)


def test_killed_between_two_artefacts_and_started_again_it_goes_on_to_the_end(carried: Carried) -> None:
    request = {"project": "flights", "run_id": "r1", "attempt": 1}
    settings = {name: getattr(carried.settings, name) for name in vars(replace(carried.settings))}
    command = [sys.executable, "-c", KILLER, json.dumps(request), json.dumps(settings), carried.execution]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    half = [
        item["Key"]
        for zone in ("models", "curated")
        for item in carried.prod.s3.list_objects_v2(Bucket=carried.prod.buckets[zone]).get("Contents", ())
        if "/r1/" in item["Key"] or "r1-train" in item["Key"]
    ]
    assert len(half) == 2
    assert carried.run()[1]["status"] == "succeeded"
    assert carried.prod.table.need("flights", "r1").artefacts == carried.staging.record.artefacts
