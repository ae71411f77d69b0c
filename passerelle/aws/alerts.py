"""Telling people: a message to the environment's topic."""

from __future__ import annotations

from passerelle.aws.clients import client, translated


def tell(topic_arn: str, subject: str, message: str) -> None:
    """Publish a message; SNS takes subjects of one line and fewer than 100 characters (API reference, Publish)."""
    with translated("telling people"):
        client("sns").publish(TopicArn=topic_arn, Subject=subject, Message=message)
