"""Each function finds its code and its settings where it looks for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from passerelle import settings

pytestmark = pytest.mark.xdist_group("infra")
Find = Callable[[str, str], dict[str, dict[str, Any]]]
Synthesised = Callable[[str], Path]


def _step(function: dict[str, Any]) -> str:
    return str(function["Properties"]["Handler"].split(".")[1])


@pytest.mark.parametrize("environment", ["laptop", "prod"])
def test_a_functions_environment_is_what_its_settings_read(resources: Find, environment: str) -> None:
    for name, function in resources(environment, "AWS::Lambda::Function").items():
        record = getattr(settings, "".join(part.capitalize() for part in _step(function).split("_")) + "Settings")
        expected = {settings.PREFIX + field.name.upper() for field in fields(record)}
        assert set(function["Properties"]["Environment"]["Variables"]) - {"POWERTOOLS_LOG_LEVEL"} == expected, name


def test_a_functions_handler_lies_in_its_own_asset(synthesised: Synthesised, resources: Find) -> None:
    for name, function in resources("prod", "AWS::Lambda::Function").items():
        digest = function["Properties"]["Code"]["S3Key"].removesuffix(".zip")
        folder = synthesised("prod") / f"asset.{digest}"
        handlers = sorted(path.parent.name for path in (folder / "lambdas").glob("*/handler.py"))
        assert handlers == [_step(function)], name


def test_every_lambda_folder_is_deployed(resources: Find) -> None:
    root = Path(__file__).resolve().parents[2] / "lambdas"
    deployed = {_step(function) for function in resources("prod", "AWS::Lambda::Function").values()}
    assert deployed == {path.parent.name for path in root.glob("*/handler.py")}


def test_functions_bring_a_layer_to_aws_and_none_to_the_laptop(resources: Find) -> None:
    for function in resources("prod", "AWS::Lambda::Function").values():
        assert len(function["Properties"]["Layers"]) == 1
        assert function["Properties"]["Architectures"] == ["arm64"]
    assert not any("Layers" in item["Properties"] for item in resources("laptop", "AWS::Lambda::Function").values())


def test_every_log_group_has_an_end(resources: Find) -> None:
    for name, group in resources("prod", "AWS::Logs::LogGroup").items():
        assert group["Properties"]["RetentionInDays"] == 365, name


def test_the_command_line_finds_every_resource_that_it_needs(resources: Find) -> None:
    # As the command line spells them: see passerelle.aws.deployed.
    names = {item["Properties"]["Name"] for item in resources("prod", "AWS::SSM::Parameter").values()}
    zones = ("raw", "quarantine", "curated", "models", "predictions", "reports")
    needed = [
        "runs-table",
        "training-pipeline",
        "deploy-model",
        "tracking-uri",
        "job-role",
        "judge-role",
        "training-image",
        "jobs-vpc",
        *(f"{zone}-bucket" for zone in zones),
    ]
    assert [name for name in needed if f"/passerelle/prod/resources/{name}" not in names] == []
    assert "/passerelle/prod/projects/flights" in names


def test_only_the_parts_that_the_laptop_has_are_different_there(resources: Find) -> None:
    # The laptop starts MLflow, PostgreSQL and the jobs' processes itself: it needs no image, network or service.
    on_aws_only = {"BuildImage", "UpgradeSchema", "CriticalFindings", "Import"}
    for type_ in ("AWS::S3::Bucket", "AWS::StepFunctions::StateMachine", "AWS::Lambda::Function", "AWS::Events::Rule"):
        here, there = ({name.split("/")[1] for name in resources(env, type_)} for env in ("laptop", "prod"))
        assert here <= there, type_
        assert not [name for name in there - here if not name.startswith(tuple(on_aws_only))], type_
    assert json.dumps(list(resources("laptop", "AWS::Lambda::LayerVersion"))) == "[]"
