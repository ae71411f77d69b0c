"""Whether a project may ask for Spark is the environment's to say, at synthesis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.config import FOLDER, PlatformConfig, load_config
from infra.projects import load_projects, need_allowed
from passerelle.errors import SettingsError

FLIGHTS = Path(__file__).parents[3] / "projects/flights/project.yaml"


def _asks(folder: Path, engine: str) -> Any:
    document = yaml.safe_load(FLIGHTS.read_text())
    document["data"]["engine"] = engine
    (folder / "flights").mkdir()
    (folder / "flights/project.yaml").write_text(yaml.safe_dump(document))
    return load_projects(("flights",), folder)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_spark_is_refused_where_the_environment_has_none_with_the_line_that_brings_it(
    tmp_path: Path, environment: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        need_allowed(load_config(environment), _asks(tmp_path, "spark"))
    said = str(refused.value)
    assert said.startswith(f"{tmp_path}/flights/project.yaml: data.engine: spark asks for EMR Serverless")
    assert f"environments/{environment}.yaml has none" in said
    assert "`spark: {maximum_vcpus: 16}`" in said


@pytest.mark.parametrize(("environment", "engine"), [("staging", "spark"), ("laptop", "spark"), ("dev", "auto")])
def test_it_is_allowed_where_there_is_one_and_on_the_laptop_which_has_its_own(
    tmp_path: Path, environment: str, engine: str
) -> None:
    need_allowed(load_config(environment), _asks(tmp_path, engine))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": {"source": "docker"}}, "write images.source: codebuild"),
        ({"spark": {"maximum_vcpus": 12}}, "greater than or equal to 16"),
        ({"spark": {"maximum_vcpus": 18}}, "multiple of 4"),
    ],
)
def test_what_emr_serverless_would_refuse_is_refused(changes: dict[str, Any], words: str) -> None:
    document = yaml.safe_load((FOLDER / "staging.yaml").read_text())
    with pytest.raises(ValueError, match=words):
        PlatformConfig.model_validate(document | changes)


def test_the_laptop_takes_no_application() -> None:
    document = yaml.safe_load((FOLDER / "laptop.yaml").read_text()) | {"spark": {"maximum_vcpus": 16}}
    with pytest.raises(ValueError, match="Spark runs inside the processing job"):
        PlatformConfig.model_validate(document)
