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
