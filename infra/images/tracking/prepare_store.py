"""One-shot task before a server rolls: schema, then the users whose passwords Secrets Manager keeps.

Its arguments are the command that brings MLflow's schema up to date. Running it again changes nothing, except a
password that was changed in Secrets Manager.
"""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

#: User -> (variable with the password, is an administrator). The platform's functions are `pipeline`.
USERS: Final = {
    "admin": ("MLFLOW_AUTH_ADMIN_PASSWORD", True),
    "pipeline": ("PASSERELLE_PIPELINE_PASSWORD", False),
}


def main(schema_command: list[str]) -> int:
    """Return the exit code: that of the migration when it fails."""
    migrated = subprocess.run(schema_command)
    if migrated.returncode:
        return migrated.returncode
    settings = configparser.ConfigParser()
    settings.read(os.environ.get("MLFLOW_AUTH_CONFIG_PATH", Path(__file__).with_name("basic_auth.ini")))
    store: Any = SqlAlchemyStore()
    store.init_db(settings["mlflow"]["database_uri"])
    for name, (variable, administrator) in USERS.items():
        ensure_user(store, name, os.environ[variable], administrator)
    return 0


def ensure_user(store: Any, name: str, password: str, administrator: bool) -> None:
    """Create a user, or give the one that exists its password and rights."""
    if not store.has_user(name):
        store.create_user(name, password, is_admin=administrator)
        print(f"user {name} created", flush=True)
    elif not store.authenticate_user(name, password) or store.get_user(name).is_admin != administrator:
        store.update_user(name, password=password, is_admin=administrator)
        print(f"user {name} updated", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
