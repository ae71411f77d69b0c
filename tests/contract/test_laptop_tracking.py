"""MLflow on the laptop: the declared command, artefacts in S3 through the server, hardened, on PostgreSQL."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from laptop import postgres
from laptop.mlflow_server import ARTIFACT_BUCKET
from laptop.platform import DATABASE, MLFLOW, up
from laptop.processes import Processes, Recorded
from passerelle.contracts import tracking
from passerelle.errors import SettingsError
from tests.laptop_platform import LaptopPlatform, unique, wait_for


def _process(platform: LaptopPlatform, name: str) -> Recorded:
    found = Processes(platform.settings).find(name)
    assert found is not None
    return found


def _call(platform: LaptopPlatform, path: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{platform.settings.mlflow_url}{path}", data, {"Content-Type": "application/json", **headers}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_the_server_runs_with_the_declared_command_and_hardening(platform: LaptopPlatform) -> None:
    settings = platform.settings
    process = psutil.Process(_process(platform, MLFLOW).pid)
    declared = tracking.server_command(
        artifacts_destination=f"s3://{ARTIFACT_BUCKET}/artifacts",
        host="127.0.0.1",
        port=settings.mlflow_port,
        allowed_hosts=f"localhost:{settings.mlflow_port},127.0.0.1:{settings.mlflow_port}",
    )
    assert process.cmdline()[-len(declared) + 1 :] == declared[1:]
    environment = process.environ()
    port = _process(platform, DATABASE).port
    wanted = tracking.server_environment()
    wanted |= tracking.database_environment(host="127.0.0.1", port=port, user=postgres.USER)
    assert {key: environment.get(key) for key in wanted} == wanted


def test_an_artifact_goes_through_the_server_into_the_embedded_s3(platform: LaptopPlatform, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=platform.settings.mlflow_url)
    run = client.create_run(client.create_experiment(unique("experiment")))
    (tmp_path / "figure é.txt").write_text("drawn")
    client.log_artifact(run.info.run_id, str(tmp_path / "figure é.txt"), "figures")
    listed = platform.client("s3").list_objects_v2(Bucket=ARTIFACT_BUCKET, Prefix="artifacts/")["Contents"]
    assert any(run.info.run_id in item["Key"] and item["Key"].endswith("figure é.txt") for item in listed)
    fetched = client.download_artifacts(run.info.run_id, "figures/figure é.txt", str(tmp_path / ""))
    assert Path(fetched).read_text() == "drawn"


def test_a_model_version_is_registered_tagged_and_found_by_its_alias(platform: LaptopPlatform, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client, name = MlflowClient(tracking_uri=platform.settings.mlflow_url), unique("model")
    run = client.create_run(client.create_experiment(unique("experiment")))
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    client.log_artifacts(run.info.run_id, str(tmp_path), "model")
    client.create_registered_model(name)
    version = client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id, tags={"gate": "ok"})
    client.set_registered_model_alias(name, "challenger", version.version)
    found = client.get_model_version_by_alias(name, "challenger")
    assert (found.version, found.status, found.tags) == (version.version, "READY", {"gate": "ok"})


def test_a_request_under_a_foreign_host_name_is_refused(platform: LaptopPlatform) -> None:
    """DNS rebinding: a web page must not reach the server through a name that resolves to 127.0.0.1."""
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert "experiments" in _call(platform, path)
    with pytest.raises(urllib.error.HTTPError) as refused:
        _call(platform, path, Host="evil.example:5000")
    assert refused.value.code == 403


def test_the_database_is_really_postgresql_with_mlflows_tables(platform: LaptopPlatform) -> None:
    import psycopg2

    port = _process(platform, DATABASE).port
    connection = psycopg2.connect(host="127.0.0.1", port=port, user=postgres.USER, dbname=tracking.DATABASE)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM alembic_version")
        assert cursor.fetchone() == (1,)
        cursor.execute("SHOW listen_addresses")
        assert cursor.fetchone() == ("127.0.0.1",)
    connection.close()
    pids = {item.pid for item in psutil.net_connections("unix") if item.pid}
    assert _process(platform, DATABASE).pid not in pids, "no Unix socket either"


def test_an_experiment_that_a_client_writes_is_there_for_the_next_client(platform: LaptopPlatform) -> None:
    name = unique("experiment")
    made = _call(platform, "/api/2.0/mlflow/experiments/create", {"name": name})["experiment_id"]
    found = wait_for(lambda: _call(platform, f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}"))
    assert found["experiment"]["experiment_id"] == made


def test_a_schema_from_a_newer_mlflow_is_refused_untouched_and_the_server_that_runs_goes_on(
    platform: LaptopPlatform,
) -> None:
    import psycopg2

    def revision(changed_to: str | None = None) -> str:
        port = _process(platform, DATABASE).port
        connection = psycopg2.connect(host="127.0.0.1", port=port, user=postgres.USER, dbname=tracking.DATABASE)
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT version_num FROM alembic_version")
            (found,) = cursor.fetchone() or ("",)
            if changed_to:
                cursor.execute("UPDATE alembic_version SET version_num = %s", (changed_to,))
        connection.close()
        return str(found)

    known = revision(changed_to="ffffffffffff")
    try:
        assert _call(platform, "/api/2.0/mlflow/experiments/search", {"max_results": 1})["experiments"]
        Processes(platform.settings).stop(MLFLOW)
        (platform.settings.home / "run" / "mlflow-schema").unlink()
        with pytest.raises(SettingsError, match=r"written by a newer MLflow.*delete-state"):
            up(platform.settings)
        assert revision() == "ffffffffffff"
    finally:
        revision(changed_to=known)
        up(platform.settings)
    assert _call(platform, "/api/2.0/mlflow/experiments/search", {"max_results": 1})["experiments"]
