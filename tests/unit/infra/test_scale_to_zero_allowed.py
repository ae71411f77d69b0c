"""Whether an endpoint may sleep is the environment's to say, at synthesis."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from infra.config import load_config
from infra.projects import load_projects, need_allowed
from passerelle.errors import SettingsError

FLIGHTS = Path(__file__).parents[3] / "projects/flights/project.yaml"


def _projects(folder: Path, least: int) -> None:
    document = yaml.safe_load(FLIGHTS.read_text())
    scaling = {"min": least, "max": 2, "invocations_per_minute": 60}
    document["serving"] = {"profile": "real-time", "autoscaling": scaling}
    (folder / "flights").mkdir()
    (folder / "flights/project.yaml").write_text(yaml.safe_dump(document))


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_an_endpoint_that_sleeps_is_refused_where_it_is_not_allowed_by_both_files(
    tmp_path: Path, environment: str
) -> None:
    _projects(tmp_path, 0)
    with pytest.raises(SettingsError) as refused:
        need_allowed(load_config(environment), load_projects(("flights",), tmp_path))
    said = str(refused.value)
    assert said.startswith(f"{tmp_path}/flights/project.yaml: serving.autoscaling.min: 0")
    assert f"environments/{environment}.yaml does not allow that" in said
    assert "serving: {scale_to_zero: true}" in said


@pytest.mark.parametrize(("environment", "least"), [("dev", 0), ("laptop", 0), ("prod", 1)])
def test_it_is_allowed_for_trying_things_out_and_nothing_else_is_forbidden(
    tmp_path: Path, environment: str, least: int
) -> None:
    _projects(tmp_path, least)
    need_allowed(load_config(environment), load_projects(("flights",), tmp_path))
