"""The tracking server as Fargate runs it: with users in PostgreSQL, made by the image's own scripts."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from laptop import postgres
from laptop.platform import DATABASE
from laptop.processes import Processes
from passerelle.contracts import tracking
from tests.laptop_platform import LaptopPlatform, unique

IMAGE = Path(__file__).resolve().parents[2] / "infra" / "images" / "tracking"
PROGRAMS = Path(sys.executable).parent


@dataclass
class Server:
    """A server beside the platform's own, on a database of its own."""

    platform: LaptopPlatform
    port: int
    passwords: dict[str, str] = field(
        default_factory=lambda: {name: secrets.token_hex(20) for name in ("admin", "pipeline")}
    )

    @property
    def environment(self) -> dict[str, str]:
        database = Processes(self.platform.settings).find(DATABASE)
        assert database is not None
        return {
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "HOME": "/tmp",
            **tracking.server_environment(),
            **tracking.database_environment(host="127.0.0.1", port=database.port, user=postgres.USER),
            "PGDATABASE": "users",
            "MLFLOW_AUTH_CONFIG_PATH": str(IMAGE / "basic_auth.ini"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "k" * 40,
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.passwords["admin"],
            "PASSERELLE_PIPELINE_PASSWORD": self.passwords["pipeline"],
            "AWS_ENDPOINT_URL": self.platform.settings.endpoint_url,
            "MLFLOW_S3_ENDPOINT_URL": self.platform.settings.endpoint_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def prepare(self) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(IMAGE / "prepare_store.py"), *tracking.schema_command()]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True)

    def healthy(self) -> bool:
        command = [sys.executable, str(IMAGE / "health.py"), f"http://127.0.0.1:{self.port}/health"]
        return subprocess.run(command, env=self.environment, capture_output=True).returncode == 0

    def call(self, method: str, path: str, body: dict[str, Any] | bytes | None = None, user: str = "pipeline") -> Any:
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        request.add_header("Content-Type", "application/json" if isinstance(body, dict) else "text/plain")
        if user:
            word = base64.b64encode(f"{user}:{self.passwords[user]}".encode()).decode()
            request.add_header("Authorization", f"Basic {word}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text.startswith(b"{") else text


@pytest.fixture(scope="module")
def server(platform: LaptopPlatform) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = Server(platform, probe.getsockname()[1])
    _sql(server, "CREATE DATABASE users", database="postgres")
    bucket = urllib.request.Request(f"{server.platform.settings.endpoint_url}/users-artifacts", method="PUT")
    urllib.request.urlopen(bucket, timeout=30).close()
    done = server.prepare()
    assert done.returncode == 0, done.stderr
    command = tracking.server_command(
        artifacts_destination="s3://users-artifacts/mlflow",
        host="127.0.0.1",
        port=server.port,
        allowed_hosts=f"127.0.0.1:{server.port}",
        users=True,
    )
    log = Path("/tmp") / unique("tracking-users.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(PROGRAMS / command[0]), *command[1:]], env=server.environment, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while not server.healthy():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        log.unlink()


def _sql(server: Server, statement: str, database: str = "users") -> None:
    port = int(server.environment["PGPORT"])
    connection = psycopg2.connect(host="127.0.0.1", port=port, user=postgres.USER, dbname=database)
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)


def _status(call: Any) -> int:
    with pytest.raises(urllib.error.HTTPError) as refused:
        call()
    return refused.value.code


def test_nobody_comes_in_without_a_password(server: Server) -> None:
    search = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert _status(lambda: server.call("GET", search, user="")) == 401
    assert server.call("GET", "/health", user="") == b"OK"


def test_functions_may_do_all_that_a_run_needs(server: Server) -> None:
    name = unique("flights")
    experiment = server.call("POST", "/api/2.0/mlflow/experiments/create", {"name": name})["experiment_id"]
    run = server.call("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": experiment})["run"]["info"]
    where = run["artifact_uri"].removeprefix("mlflow-artifacts:")
    path = f"/api/2.0/mlflow-artifacts/artifacts{where}/card.md"
    server.call("PUT", path, b"# a card")
    assert server.call("GET", path) == b"# a card"
    server.call("POST", "/api/2.0/mlflow/registered-models/create", {"name": name})
    source = f"{run['artifact_uri']}/model"
    made = server.call(
        "POST", "/api/2.0/mlflow/model-versions/create", {"name": name, "source": source, "run_id": run["run_id"]}
    )
    alias = {"name": name, "alias": "champion", "version": made["model_version"]["version"]}
    server.call("POST", "/api/2.0/mlflow/registered-models/alias", alias)


def test_one_team_does_not_see_the_others_experiment(server: Server) -> None:
    server.passwords["visitor"] = secrets.token_hex(20)
    made = {"username": "visitor", "password": server.passwords["visitor"]}
    server.call("POST", "/api/2.0/mlflow/users/create", made, user="admin")
    mine = server.call("POST", "/api/2.0/mlflow/experiments/create", {"name": unique("secret")})["experiment_id"]
    path = f"/api/2.0/mlflow/experiments/get?experiment_id={mine}"
    assert server.call("GET", path)["experiment"]["experiment_id"] == mine
    assert _status(lambda: server.call("GET", path, user="visitor")) == 403
    assert _status(lambda: server.call("POST", "/api/2.0/mlflow/users/create", made, user="visitor")) in (400, 403)


def test_preparing_again_changes_nothing_but_a_changed_password(server: Server) -> None:
    assert "user" not in server.prepare().stdout
    old = server.passwords["pipeline"]
    server.passwords["pipeline"] = secrets.token_hex(20)
    assert "user pipeline updated" in server.prepare().stdout
    assert server.call("GET", "/api/2.0/mlflow/experiments/search?max_results=1") is not None
    assert old != server.passwords["pipeline"]


def test_the_health_check_sees_a_database_that_lets_nobody_in_while_mlflows_own_does_not(server: Server) -> None:
    _sql(server, "ALTER DATABASE users ALLOW_CONNECTIONS false", database="postgres")
    try:
        assert server.call("GET", "/health", user="") == b"OK"
        assert not server.healthy()
    finally:
        _sql(server, "ALTER DATABASE users ALLOW_CONNECTIONS true", database="postgres")
    assert server.healthy()


def test_a_migration_that_fails_ends_the_task_with_its_exit_code(server: Server) -> None:
    environment = {**server.environment, "PGDATABASE": "absent"}
    command = [sys.executable, str(IMAGE / "prepare_store.py"), *tracking.schema_command()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert 'database "absent" does not exist' in done.stderr
