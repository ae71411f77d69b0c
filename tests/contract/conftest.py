"""The platform that contract tests talk to."""

from __future__ import annotations

from tests.laptop_platform import embedded_aws, platform

__all__ = ["embedded_aws", "platform"]
