"""Every example of the README's "Asking a model" gets an answer of a real server on the laptop."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from laptop.settings import DEFAULT_IMAGES
from passerelle.domain.project import load_project
from tests.contract import sagemaker_requests as make
from tests.laptop_platform import LaptopPlatform, unique, wait_for
from tests.serving import GOOD_ROW, make_bundle

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text(encoding="utf-8").split("## Asking a model")[1].split("\n## ")[0]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", SECTION, re.DOTALL)
(EXPORT, COMMANDS), (ROW,), (PLAIN, TYPED) = (
    [text for kind, text in BLOCKS if kind == wanted] for wanted in ("bash", "json", "python")
)
ENDPOINT = "passerelle-laptop-flights"


@pytest.fixture(scope="module")
def aws(embedded_aws: LaptopPlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopPlatform]:
    """Serve a model of the tests' own columns as flights."""
    folder, name = tmp_path_factory.mktemp("model"), unique("readme")
    make_bundle("binary", folder / "model", candidate="logistic")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        for path in (folder / "model").iterdir():
            archive.add(path, path.name)
    s3, sagemaker = embedded_aws.client("s3"), embedded_aws.client("sagemaker")
    s3.create_bucket(Bucket=name)
    s3.upload_file(str(folder / "model.tar.gz"), name, "model.tar.gz")
    container = {"Image": next(iter(DEFAULT_IMAGES)), "ModelDataUrl": f"s3://{name}/model.tar.gz"}
    sagemaker.create_model(**make.model(name, PrimaryContainer=container))
    variant = make.variant("champion", ModelName=name)
    sagemaker.create_endpoint_config(**make.endpoint_config(name, ProductionVariants=[variant]))
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=name)
    wait_for(lambda: sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] == "InService")
    yield embedded_aws
    sagemaker.delete_endpoint(EndpointName=ENDPOINT)


def told(aws: LaptopPlatform, folder: Path, *command: str, row: dict[str, Any] = GOOD_ROW) -> str:
    """Run a command as a reader does who has exported the first block; returns what it printed."""
    (folder / "row.json").write_text(json.dumps({"dataframe_records": [row]}))
    exported = dict(item.split("=", 1) for item in EXPORT.split() if "=" in item)
    assert exported["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    environment = {"PATH": os.environ["PATH"], **exported, "AWS_ENDPOINT_URL": aws.settings.endpoint_url}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    return ended.stdout + ended.stderr


def first(text: str) -> dict[str, Any]:
    """Return the answer among what was printed (`aws` prints the headers first)."""
    found = re.search(r'\{"predictions".*\}', text)
    assert found, text
    document: dict[str, Any] = json.loads(found[0])
    return document


@pytest.mark.parametrize("program", ["aws", "curl"])
def test_the_command_lines_are_answered(aws: LaptopPlatform, tmp_path: Path, program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    (command,) = [text for text in COMMANDS.split("\n\n") if text.startswith(program)]
    assert first(told(aws, tmp_path, "bash", "-ec", command))["predictions"] in ([0], [1])


def test_boto3_is_answered(aws: LaptopPlatform, tmp_path: Path) -> None:
    assert first(told(aws, tmp_path, sys.executable, "-c", PLAIN))["predictions"] in ([0], [1])


def test_the_typed_client_names_the_probabilities_and_passes_on_why_a_row_is_refused(
    aws: LaptopPlatform, tmp_path: Path
) -> None:
    printed = told(aws, tmp_path, sys.executable, "-c", TYPED)
    assert re.fullmatch(r"\[Prediction\(value=[01], probabilities=\{'0': 0\.\d+, '1': 0\.\d+\}\)\]\n", printed), printed
    refused = told(aws, tmp_path, sys.executable, "-c", TYPED, row=GOOD_ROW | {"hour": "noon"})
    assert "ModelError" in refused
    assert all(word in refused for word in ("hour", "row", "noon")), refused


def test_the_row_of_the_page_has_columns_of_the_flights_project() -> None:
    project = load_project((ROOT / "projects/flights/project.yaml").read_text(encoding="utf-8"), source="flights")
    (row,) = json.loads(ROW)["dataframe_records"]
    assert row.keys() <= {column.name for column in project.data.columns}
