"""How the embedded AWS of one home is reached: its address, the administrator's keys, the authority to trust."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import ssl
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

from laptop.certificates import AUTHORITY, write_private
from laptop.settings import LaptopSettings
from passerelle.errors import SettingsError

_ADMINISTRATOR: Final = "administrator.json"


@dataclass(frozen=True)
class Keys:
    """AWS credentials; those of a role have a session token."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def environment(self) -> dict[str, str]:
        """Return them as the variables that every AWS SDK reads."""
        token = {"AWS_SESSION_TOKEN": self.session_token} if self.session_token else {}
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            **token,
        }

    def arguments(self) -> dict[str, Any]:
        """Return them as boto3's arguments."""
        token = {"aws_session_token": self.session_token} if self.session_token else {}
        return {
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key,
            **token,
        }


#: Who does not enforce does not look: any keys will do.
ANYBODY: Final = Keys("test", "test")


def administrator(settings: LaptopSettings) -> Keys:
    """Return the keys that may do everything: those of `cdk deploy` and of the command line.

    Raises SettingsError when the home enforces policies and has not been started yet.
    """
    if not settings.enforce:
        return ANYBODY
    try:
        found = json.loads((settings.home / _ADMINISTRATOR).read_text())
        return Keys(found["access_key_id"], found["secret_access_key"])
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(
            f"No administrator's keys in {settings.home}. Start the platform: `passerelle up --enforce`."
        ) from error


def ensure_administrator(settings: LaptopSettings) -> None:
    """Make the administrator's keys of a home that enforces policies, unless there are some."""
    path = settings.home / _ADMINISTRATOR
    if settings.enforce and not path.exists():
        keys = {"access_key_id": f"AKIA{secrets.token_hex(8).upper()}", "secret_access_key": secrets.token_hex(20)}
        write_private(path, json.dumps(keys).encode())


def derived_keys(settings: LaptopSettings, name: str) -> Keys:
    """Return keys of a part of the platform, the same after each restart; only the administrator can work them out."""
    secret = administrator(settings).secret_access_key.encode()
    words = [hmac.new(secret, f"{part}/{name}".encode(), hashlib.sha256).hexdigest() for part in ("key", "secret", "t")]
    return Keys(f"ASIA{words[0][:16].upper()}", words[1][:40], words[2])


def authority(settings: LaptopSettings) -> str | None:
    """Return the file of the authority that signed the embedded AWS's certificate; None where it speaks plain HTTP."""
    return str(settings.tls_folder / AUTHORITY) if settings.tls else None


def trust(settings: LaptopSettings) -> dict[str, str]:
    """Return the variables that make boto3, requests, OpenSSL and Node trust the home's authority."""
    path = authority(settings)
    names = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
    return dict.fromkeys(names, path) if path else {}


def open_url(
    settings: LaptopSettings, path: str, *, method: str = "GET", timeout: float = 10.0, keys: Keys | None = None
) -> Any:
    """Ask the embedded AWS for a path, signed as S3 wants it where `keys` are given; raises OSError."""
    url = f"{settings.endpoint_url}/{path.lstrip('/')}"
    headers = _signed(settings, method, url, keys) if keys else {}
    trusted = authority(settings)
    context = ssl.create_default_context(cafile=trusted) if trusted else None
    request = urllib.request.Request(url, method=method, headers=headers)
    return urllib.request.urlopen(request, timeout=timeout, context=context)


def _signed(settings: LaptopSettings, method: str, url: str, keys: Keys) -> dict[str, str]:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest(method, url)
    credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token or None)
    S3SigV4Auth(credentials, "s3", settings.region).add_auth(request)
    return dict(request.headers)
