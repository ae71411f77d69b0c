"""The MLflow server of the laptop: its bucket, its schema, its command and its environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from laptop import postgres
from laptop.access import ANYBODY, administrator, derived_keys, open_url, trust
from laptop.settings import LaptopSettings
from passerelle.contracts import tracking
from passerelle.errors import SettingsError

ARTIFACT_BUCKET: Final = "passerelle-laptop-mlflow"
#: Whose keys it has where policies are enforced: `laptop.ministack.identities` lets them reach this bucket only.
IDENTITY: Final = "mlflow"


def prepare(
    settings: LaptopSettings, base: Mapping[str, str], *, database_port: int, progress: Callable[[str], None]
) -> tuple[list[str], dict[str, str]]:
    """Make what the server needs; returns its command and its environment, which adds to `base`.

    Raises SettingsError when the bucket or the schema cannot be made.
    """
    _ensure_bucket(settings)
    environment = {**base, **tracking.server_environment(), **_aws(settings)}
    environment |= tracking.database_environment(host="127.0.0.1", port=database_port, user=postgres.USER)
    if not _schema_is_current(settings):
        progress("bringing MLflow's schema up to date")
        _upgrade_schema(settings, environment)
    command = tracking.server_command(
        artifacts_destination=f"s3://{ARTIFACT_BUCKET}/artifacts",
        host="127.0.0.1",
        port=settings.mlflow_port,
        allowed_hosts=f"localhost:{settings.mlflow_port},127.0.0.1:{settings.mlflow_port}",
    )
    return [str(Path(sys.executable).parent / command[0]), *command[1:]], environment


def _aws(settings: LaptopSettings) -> dict[str, str]:
    keys = derived_keys(settings, IDENTITY) if settings.enforce else ANYBODY
    return {
        "AWS_ENDPOINT_URL": settings.endpoint_url,
        "MLFLOW_S3_ENDPOINT_URL": settings.endpoint_url,
        "AWS_DEFAULT_REGION": settings.region,
        **keys.environment(),
        **trust(settings),
    }


def _ensure_bucket(settings: LaptopSettings) -> None:
    """Create MLflow's bucket, without boto3: here it would read the profiles of the user's real accounts."""
    try:
        with open_url(settings, ARTIFACT_BUCKET, method="PUT", timeout=30, keys=administrator(settings)):
            pass
    except OSError as error:
        raise SettingsError(
            f"The bucket {ARTIFACT_BUCKET} could not be created in the embedded AWS: {error}"
        ) from error


def _schema_is_current(settings: LaptopSettings) -> bool:
    """The step takes seconds, so it is skipped when this very version has done it on this very database."""
    mark = settings.home / "run" / "mlflow-schema"
    return mark.exists() and mark.read_text() == f"{version('mlflow')} {postgres.data_folder(settings)}"


def _upgrade_schema(settings: LaptopSettings, environment: dict[str, str]) -> None:
    command = tracking.schema_command()
    executable = str(Path(sys.executable).parent / command[0])
    done = subprocess.run([executable, *command[1:]], env=environment, capture_output=True, text=True, cwd="/")
    if done.returncode and "Can't locate revision" in done.stderr:
        raise SettingsError(
            f"The tracking database was written by a newer MLflow than {version('mlflow')}; nothing was changed in it. "
            "Go back to the release of Passerelle that wrote it, or start afresh: `passerelle down --delete-state`."
        )
    if done.returncode:
        raise SettingsError(f"`mlflow db upgrade` failed:\n{(done.stderr or done.stdout)[-1500:]}")
    mark = settings.home / "run" / "mlflow-schema"
    mark.write_text(f"{version('mlflow')} {postgres.data_folder(settings)}")
