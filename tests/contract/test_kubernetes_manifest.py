"""The Kubernetes manifest's own commands, run here: the model is fetched from S3, and the server answers its probes."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from tests.laptop_platform import LaptopPlatform, unique
from tests.serving import GOOD_ROW, ROOT, make_bundle, running_server


@pytest.fixture(scope="module")
def pod() -> dict[str, Any]:
    documents = list(yaml.safe_load_all((ROOT / "docs/kubernetes/serving.yaml").read_text()))
    (deployment,) = [item for item in documents if item["kind"] == "Deployment"]
    return dict(deployment["spec"]["template"]["spec"])


def _fetch(pod: dict[str, Any], platform: LaptopPlatform, uri: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the init container's command with its folders moved below `folder`."""
    (init,) = pod["initContainers"]
    code, model = init["args"]
    assert model == "MODEL"
    moved = code.replace('"/tmp/', f'"{folder}/').replace('"/opt/ml', f'"{folder}/opt/ml')
    environment = {
        "PYTHONPATH": str(ROOT), "AWS_ENDPOINT_URL": platform.settings.endpoint_url, "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    command = [sys.executable, *init["command"][1:], moved, uri]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_the_manifests_commands_serve_a_model_from_s3(
    pod: dict[str, Any], embedded_aws: LaptopPlatform, tmp_path: Path
) -> None:
    make_bundle("binary", tmp_path / "made")
    with tarfile.open(tmp_path / "made.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "made", arcname=".")
    s3 = boto3.client(
        "s3", endpoint_url=embedded_aws.settings.endpoint_url, aws_access_key_id="test", aws_secret_access_key="test",
        region_name="us-east-1",
    )  # fmt: skip
    bucket = unique("models")
    s3.create_bucket(Bucket=bucket)
    s3.upload_file(str(tmp_path / "made.tar.gz"), bucket, "a/model.tar.gz")
    done = _fetch(pod, embedded_aws, f"s3://{bucket}/a/model.tar.gz", tmp_path)
    assert done.returncode == 0, done.stderr
    (server,) = pod["containers"]
    assert server["args"] == ["serve"]
    variables = {item["name"]: item["value"] for item in server["env"] if item["name"] != "SAGEMAKER_BIND_TO_PORT"}
    with running_server(tmp_path / "opt/ml", extra=variables) as running:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert running.client.get(server[probe]["httpGet"]["path"]).status_code == 200
        assert running.post({"dataframe_records": [GOOD_ROW]}).status_code == 200


def test_a_model_that_is_gone_or_no_archive_ends_the_init_container_with_its_reason(
    pod: dict[str, Any], embedded_aws: LaptopPlatform, tmp_path: Path
) -> None:
    gone = _fetch(pod, embedded_aws, "s3://absent-bucket/model.tar.gz", tmp_path)
    assert gone.returncode != 0
    assert "404" in gone.stderr or "NoSuchBucket" in gone.stderr


def test_nothing_in_the_pod_runs_as_root_or_writes_to_its_image(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert "memory" in container["resources"]["limits"]
