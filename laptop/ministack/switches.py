"""MiniStack's switches. Almost all are read at import: set them before the first `import ministack`."""

from __future__ import annotations

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
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": settings.endpoint_url,
        # MiniStack would tidy up containers on a Docker that it finds; the laptop needs none, and touches none.
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",
        "LOG_LEVEL": "WARNING",
    }
