"""What an environment's file may say, and what a person reads when it says something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import config as subject
from passerelle.errors import SettingsError

ENVIRONMENTS = ("laptop", "dev", "staging", "prod")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that writes an environment's file: dev's, changed."""
    original = yaml.safe_load((subject.FOLDER / "dev.yaml").read_text())
    monkeypatch.setattr(subject, "FOLDER", tmp_path)

    def write_file(file: str = "dev", /, *, without: str = "", **changes: Any) -> Path:
        document = {key: value for key, value in {**original, **changes}.items() if key != without}
        path = tmp_path / f"{file}.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return write_file


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_shipped_environment_is_valid_and_bears_its_files_name(name: str) -> None:
    config = subject.load_config(name)
    assert config.name == name
    assert (config.images.source == "local") == (name == "laptop")


def test_an_unknown_environment_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="dev, laptop, prod, staging"):
        subject.load_config("production")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("account", "1234"),
        ("region", "virginia"),
        ("stage", "prod"),
        ("quiet_window_seconds", 0),
        ("log_retention_days", 31),
        ("lambda_architecture", "arm"),
        ("prepare_instance_type", "m5.large"),
        ("tracking_uri", "mlflow.example.com"),
    ],
)
def test_a_wrong_value_is_refused_by_file_and_field(write: Any, field: str, value: Any) -> None:
    path = write(**{field: value})
    with pytest.raises(SettingsError) as caught:
        subject.load_config("dev")
    assert f"{path}: {field}: " in str(caught.value)


def test_every_wrong_field_is_named_at_once(write: Any) -> None:
    write(region="virginia", quiet_window="3", without="owner")
    with pytest.raises(SettingsError) as caught:
        subject.load_config("dev")
    assert [name for name in ("region", "quiet_window", "owner") if f": {name}: " not in str(caught.value)] == []


@pytest.mark.parametrize("text", ["", "- dev\n", "dev\n", "name: [dev\n"])
def test_a_file_that_holds_no_fields_is_refused_by_name(write: Any, text: str) -> None:
    path = write()
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"dev\.yaml"):
        subject.load_config("dev")


def test_a_file_copied_from_another_environment_cannot_deploy_into_that_one(write: Any) -> None:
    write("staging", name="prod")
    with pytest.raises(SettingsError, match="would deploy into that environment; write 'staging'"):
        subject.load_config("staging")


def test_only_the_laptop_takes_overrides_from_the_command_line() -> None:
    overrides = {"tracking_uri": "http://127.0.0.1:5001", "projects": None}
    assert subject.load_config("laptop", overrides).tracking_uri == "http://127.0.0.1:5001"
    with pytest.raises(SettingsError, match="takes no overrides"):
        subject.load_config("prod", overrides)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"region": "us-esat-1"}, "region: .*no SageMaker in a region us-esat-1; did you mean .*us-east-1"),
        ({"prepare_instance_type": "ml.m5.lage"}, "prepare_instance_type: .*did you mean ml.m5.large"),
        ({"owner": "a & b"}, "owner: .*AWS takes no & in one"),
        ({"cost_centre": "x" * 257}, "cost_centre: .*1 to 256 characters"),
        ({"cost_centre": " "}, "cost_centre: .*1 to 256 characters"),
        ({"account": 111111111111}, "account: 111111111111 is a number to YAML; put it in quotes"),
        ({"projects": ["flights", "flights"]}, "projects: flights: named twice"),
        ({"name": "an-environment-of-that-length"}, "got 'an-environment-of-that-length'"),
        ({"projects": ["other"]}, r"dev.yaml: delivery.smoke_project: 'flights' is none"),
    ],
)
def test_what_aws_would_refuse_in_mid_deploy_is_refused_with_the_remedy(write: Any, changes: Any, words: str) -> None:
    write(**changes)
    with pytest.raises(SettingsError, match=words):
        subject.load_config("dev")


@pytest.mark.parametrize("place", ["eu-west-1:111111111111", "us-east-1:999999999999"])
def test_a_certificate_of_another_region_or_account_is_refused(write: Any, place: str) -> None:
    door = {
        "certificate_arn": f"arn:aws:acm:{place}:certificate/00000000-0000-0000-0000-000000000000",
        "domain_name": "mlflow.example.com",
        "allowed_cidrs": ["10.0.0.0/8"],
    }
    path = write()
    document = yaml.safe_load(path.read_text())
    write(tracking=document["tracking"] | door)
    with pytest.raises(SettingsError, match=r"tracking.certificate_arn: .* request one there"):
        subject.load_config("dev")
