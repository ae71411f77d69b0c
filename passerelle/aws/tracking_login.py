"""Sign in to the tracking server, where it asks for a name and password."""

from __future__ import annotations

import os
from typing import Final

from passerelle.aws.clients import client, translated

#: The user that the platform's functions are; `prepare_store.py` of the server's image makes it.
USER: Final = "pipeline"


def sign_in(secret: str) -> None:
    """Let this process's MLflow clients sign in with the password of a secret; without one nothing is to be done.

    It is read anew each time: it may have been changed since.

    Raises TransientError when Secrets Manager does not answer.
    """
    if not secret:
        return
    with translated(f"secret {secret}"):
        password = client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    os.environ["MLFLOW_TRACKING_USERNAME"] = USER
    os.environ["MLFLOW_TRACKING_PASSWORD"] = password
