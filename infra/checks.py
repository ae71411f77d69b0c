"""cdk-nag on every synthesis: what is acknowledged, and why."""

from __future__ import annotations

from aws_cdk import App


def add_checks(app: App) -> None:
    """Add the AwsSolutions rules."""
