"""Settings travel through environment variables and back."""

from __future__ import annotations

import pytest

from passerelle.errors import SettingsError
from passerelle.settings import ReconcileDropsSettings

SETTINGS = ReconcileDropsSettings(
    environment="dev", runs_table="t", raw_bucket="r", reports_bucket="p", pipeline_arn="a", grace_seconds=5
)


def test_what_to_env_writes_from_env_reads() -> None:
    assert ReconcileDropsSettings.from_env(SETTINGS.to_env()) == SETTINGS


def test_a_missing_variable_is_named_with_its_function() -> None:
    with pytest.raises(SettingsError, match=r"ReconcileDropsSettings.*PASSERELLE_RUNS_TABLE is missing"):
        ReconcileDropsSettings.from_env({k: v for k, v in SETTINGS.to_env().items() if "TABLE" not in k})


def test_a_number_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match="PASSERELLE_GRACE_SECONDS='x'"):
        ReconcileDropsSettings.from_env({**SETTINGS.to_env(), "PASSERELLE_GRACE_SECONDS": "x"})
