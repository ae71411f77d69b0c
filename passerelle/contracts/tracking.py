"""How the MLflow server is started: one declaration for the Fargate task definition and for the laptop."""

from __future__ import annotations

from typing import Final

DATABASE: Final = "mlflow"
PORT: Final = 5000
#: Where people find a server that has no load balancer: nowhere, but by a session with its task.
NO_DOOR: Final = "session"
#: libpq reads where the database is, and its password, from PG* variables: a command line is seen by every process.
STORE_URI: Final = "postgresql+psycopg2://"


def schema_command() -> list[str]:
    """Return the one-shot step before a server rolls: `mlflow server` refuses a schema that is not current."""
    return ["mlflow", "db", "upgrade", STORE_URI]


def database_environment(*, host: str, port: int, user: str) -> dict[str, str]:
    """Return libpq's variables (PostgreSQL manual, "Environment Variables"); PGPASSWORD comes as a secret."""
    return {"PGHOST": host, "PGPORT": str(port), "PGUSER": user, "PGDATABASE": DATABASE}


def server_command(
    *, artifacts_destination: str, host: str, port: int, allowed_hosts: str, users: bool = False
) -> list[str]:
    """Return the server's command. Artefacts go through the server, so that clients need no rights in S3.

    With `users` it asks for names and passwords, which the database keeps (MLFLOW_AUTH_CONFIG_PATH).
    """
    return [
        "mlflow",
        "server",
        *(("--app-name", "basic-auth") if users else ()),
        "--backend-store-uri",
        STORE_URI,
        "--artifacts-destination",
        artifacts_destination,
        "--serve-artifacts",
        "--host",
        host,
        "--port",
        str(port),
        "--workers",
        "1",
        "--allowed-hosts",
        allowed_hosts,
    ]


def server_environment() -> dict[str, str]:
    """Return the hardening switches: no job execution (on by default), a small connection pool."""
    return {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "5",
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "5",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
