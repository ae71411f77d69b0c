"""Settings of the laptop platform come from the environment, or are refused with the variable's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from laptop.settings import LaptopSettings
from passerelle.errors import SettingsError


def test_processes_of_a_platform_read_back_the_settings_that_it_has(tmp_path: Path) -> None:
    settings = LaptopSettings(
        home=tmp_path, port=1234, mlflow_port=4321, images={"tiny": ("python", "x y.py")},
        spot_interruption_rate=0.25, seed=7, stop_grace_seconds=1.5, launch_seconds=0.5,
    )  # fmt: skip
    assert LaptopSettings.from_env(settings.as_environment()) == settings


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = LaptopSettings.from_env({})
    assert (settings.port, settings.mlflow_port) == (4566, 5000)
    assert settings.home.name == ".passerelle"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PASSERELLE_PORT", "abc"),
        ("PASSERELLE_PORT", "0"),
        ("PASSERELLE_PORT", "70000"),
        ("PASSERELLE_PORT", "1.5"),
        ("PASSERELLE_MLFLOW_PORT", ""),
        ("PASSERELLE_SPOT_INTERRUPTION_RATE", "1.1"),
        ("PASSERELLE_SPOT_INTERRUPTION_RATE", "nan"),
        ("PASSERELLE_SEED", "-1"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variable_and_what_would_be_right(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}', but must be"):
        LaptopSettings.from_env({name: value})
