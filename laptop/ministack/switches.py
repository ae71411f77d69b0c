"""MiniStack's switches. Almost all are read at import: set them before the first `import ministack`."""

from __future__ import annotations

from laptop.access import administrator, trust
from laptop.certificates import CERTIFICATE, KEY
from laptop.settings import LaptopSettings


def switches(settings: LaptopSettings) -> dict[str, str]:
    """Return the environment of the embedded AWS: 127.0.0.1 only, state in the platform's home."""
    return {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(settings.port),
        "MINISTACK_HOST": "localhost",
        "MINISTACK_REGION": settings.region,
        "MINISTACK_ACCOUNT_ID": settings.account_id,
        # Both would listen on all interfaces.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(settings.home / "aws" / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(settings.home / "aws" / "s3"),
        "LAMBDA_WARM_TTL_SECONDS": "900",
        **administrator(settings).environment(),
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": settings.endpoint_url,
        # MiniStack would tidy up containers on a Docker that it finds; the laptop needs none, and touches none.
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",
        "LOG_LEVEL": "WARNING",
        "AUTH": "true" if settings.enforce else "false",
        **(_tls(settings) if settings.tls else {}),
    }


def _tls(settings: LaptopSettings) -> dict[str, str]:
    """MiniStack gives functions its own environment, so they trust what it trusts."""
    return {
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": str(settings.tls_folder / CERTIFICATE),
        "MINISTACK_SSL_KEY": str(settings.tls_folder / KEY),
        **trust(settings),
    }
