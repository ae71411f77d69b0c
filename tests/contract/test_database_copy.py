"""MLflow's database dumped and put back: into the same schema, and a dump of an older one into a newer."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from alembic import command
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from sqlalchemy import create_engine

from laptop import database_copy as subject
from laptop.processes import Processes
from passerelle.errors import BundleError, InputError
from tests.laptop_platform import LaptopPlatform, running_platform

#: The oldest that the platform could have been deployed with; any revision before the newest does.
OLD_REVISION = "cbc13b556ace"


@pytest.fixture(scope="module")
def own() -> Iterator[LaptopPlatform]:
    """A platform of its own: its database is replaced."""
    with running_platform(tracking_server=True) as running:
        yield running


def _ask(platform: LaptopPlatform, path: str, document: dict[str, Any] | None = None, **query: str) -> Any:
    url = f"{platform.settings.mlflow_url}/api/2.0/mlflow/{path}?{urllib.parse.urlencode(query)}"
    body = json.dumps(document).encode() if document is not None else None
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def _create(platform: LaptopPlatform, name: str) -> None:
    tags = [{"key": "where", "value": "s3://old-models/a and s3://old-models-2/b"}]
    _ask(platform, "experiments/create", {"name": name, "tags": tags})


def _experiment(platform: LaptopPlatform, name: str) -> dict[str, Any]:
    return dict(_ask(platform, "experiments/get-by-name", experiment_name=name)["experiment"])


def test_a_dump_comes_back_with_the_buckets_as_they_are_named_now(own: LaptopPlatform, tmp_path: Path) -> None:
    _create(own, "kept")
    revision = subject.dump(own.settings, tmp_path / "dump")
    subject.need_known_schema(revision)
    _create(own, "later")
    subject.restore(own.settings, tmp_path / "dump", {"old-models": "new-models"}, progress=lambda text: None)
    kept = _experiment(own, "kept")
    assert kept["tags"] == [{"key": "where", "value": "s3://new-models/a and s3://old-models-2/b"}]
    # Relative to the server, so nothing in it needs another name.
    assert kept["artifact_location"].startswith("mlflow-artifacts:/")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        _experiment(own, "later")


def test_a_dump_of_an_older_schema_is_brought_up_to_date(own: LaptopPlatform, tmp_path: Path) -> None:
    newest = subject.schema_revision(own.settings, "mlflow")
    found = Processes(own.settings).find("postgres")
    assert found
    subject._replace_database(own.settings, "mlflow_older")
    url = f"postgresql+psycopg2://postgres@127.0.0.1:{found.port}/mlflow_older"
    engine = create_engine(url)
    InitialBase.metadata.create_all(engine)
    engine.dispose()
    command.upgrade(_get_alembic_config(url), OLD_REVISION)
    with psycopg2.connect(host="127.0.0.1", port=found.port, user="postgres", dbname="mlflow_older") as connection:
        connection.cursor().execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
            "VALUES (7, 'ancient', 'mlflow-artifacts:/7', 'active')"
        )
    connection.close()
    options = ["--format=custom", f"--file={tmp_path / 'dump'}", "--dbname=mlflow_older"]
    assert subject._run(own.settings, ["pg_dump", *options]).returncode == 0
    assert newest != OLD_REVISION
    subject.need_known_schema(OLD_REVISION)
    subject.restore(own.settings, tmp_path / "dump", {}, progress=lambda text: None)
    assert subject.schema_revision(own.settings, "mlflow") == newest
    assert _experiment(own, "ancient")["experiment_id"] == "7"


def test_a_dump_that_cannot_be_read_leaves_the_database_that_serves(own: LaptopPlatform, tmp_path: Path) -> None:
    _create(own, "stays")
    (tmp_path / "dump").write_bytes(b"PGDMP but no more")
    with pytest.raises(BundleError, match="cannot be restored"):
        subject.restore(own.settings, tmp_path / "dump", {}, progress=lambda text: None)
    assert _experiment(own, "stays")["name"] == "stays"


@pytest.mark.parametrize("revision", ["ffffffffffff", None])
def test_a_schema_that_this_mlflow_does_not_know_is_refused(revision: str | None) -> None:
    with pytest.raises(InputError, match="newer one wrote it"):
        subject.need_known_schema(revision)
