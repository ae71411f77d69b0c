"""The key that personal entities are hashed with, where a project has such."""

from __future__ import annotations

from functools import cache

from passerelle.aws.clients import client, translated


@cache
def hash_key(secret: str) -> bytes:
    """Return the key of a secret, nothing without one. It never changes: equal entities would no longer be equal.

    Raises TransientError when Secrets Manager does not answer.
    """
    if not secret:
        return b""
    with translated(f"secret {secret}"):
        return str(client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]).encode()
