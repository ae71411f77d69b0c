"""cdk-nag about models that another account may read: what is acknowledged, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aws_cdk import Acknowledgment

from infra.config import PlatformConfig

_REASON: Final = (
    "What another environment may read of this one's zones: models of training jobs and results of runs, whose names "
    "are made at run time, and nothing else. "
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"
)
_FOUND: Final = (
    "Resource::passerelle-{name}-data:ExportsOutputFnGetAttModelsBucket970C6ADAArnC12F88E2/*/training/*",
    "Resource::passerelle-{name}-data:ExportsOutputFnGetAttCuratedBucket90F6C1E7Arn18D073D7/*/runs/*",
)


def promotion_acknowledgements(config: PlatformConfig) -> Iterator[Acknowledgment]:
    """Yield what is known and intended of an environment that lends its models."""
    if config.promotion and config.promotion.gives_to:
        for finding in _FOUND:
            yield Acknowledgment(id=f"AwsSolutions-IAM5[{finding.format(name=config.name)}]", reason=_REASON)
