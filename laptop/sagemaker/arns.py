"""ARNs and times of the local SageMaker."""

from __future__ import annotations

from datetime import UTC, datetime

from laptop.settings import LaptopSettings


def arn(settings: LaptopSettings, kind: str, name: str) -> str:
    """Return the ARN of a resource; SageMaker lower-cases names in ARNs."""
    return f"arn:aws:sagemaker:{settings.region}:{settings.account_id}:{kind}/{name.lower()}"


def now() -> datetime:
    """Return the time in UTC, to the millisecond as SageMaker does."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
