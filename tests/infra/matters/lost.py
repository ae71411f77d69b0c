"""An event that cannot be delivered lies in a queue of this platform, which has an alarm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.infra.matters.platform import Platform

QUEUE: Final = "AWS::SQS::Queue"
FUNCTION: Final = "AWS::Lambda::Function"


def no_event_is_lost(platform: Platform) -> Iterator[str]:
    """Rules, schedules, subscriptions and functions that are invoked asynchronously have a dead letter queue."""
    asynchronous = set()
    for place, target in _deliveries(platform):
        asynchronous.add(platform.target(place, target.get("Arn")))
        if not platform.is_a(place, target.get("DeadLetterConfig", {}).get("Arn"), QUEUE):
            yield f"{place} delivers, and what fails is lost"
    for place, item in platform.of("AWS::SNS::Subscription"):
        if item.get("Protocol") in ("lambda", "sqs", "https", "firehose"):
            asynchronous.add(platform.target(place, item.get("Endpoint")))
            if not platform.is_a(place, item.get("RedrivePolicy", {}).get("deadLetterTargetArn"), QUEUE):
                yield f"{place} delivers, and what fails is lost"
    asynchronous |= {
        platform.target(place, item["DestinationArn"]) for place, item in platform.of("AWS::Logs::SubscriptionFilter")
    }
    given_up = {
        platform.target(place, item["FunctionName"])
        for place, item in platform.of("AWS::Lambda::EventInvokeConfig")
        if platform.is_a(place, item.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"), QUEUE)
    }
    for place, item in platform.of(FUNCTION):
        caught = platform.is_a(place, item.get("DeadLetterConfig", {}).get("TargetArn"), QUEUE) or place in given_up
        if place in asynchronous and not caught:
            yield f"{place} is invoked asynchronously, and what it cannot do is lost"


def _deliveries(platform: Platform) -> Iterator[tuple[str, dict[str, Any]]]:
    for place, item in platform.of("AWS::Events::Rule"):
        yield from ((place, target) for target in item.get("Targets", ()))
    for place, item in platform.of("AWS::Scheduler::Schedule"):
        yield place, item["Target"]
