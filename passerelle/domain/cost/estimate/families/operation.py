"""Alarms, dashboards, logs, keys, secrets, queues, events and workflows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from passerelle.domain.cost.estimate.parts import Component
from passerelle.domain.cost.estimate.resource import Resource
from passerelle.domain.cost.estimate.usage import UnpricedError

#: An alarm on a band of expected values is paid as three (CloudWatch's pricing page).
_BAND: Final = 3
_FAST_SECONDS: Final = 60


def alarm(resource: Resource) -> Iterator[Component]:
    """AWS::CloudWatch::Alarm: paid for each metric that it looks at."""
    parts = [part for part in resource.parts("Metrics") if part.value("MetricStat") is not None]
    periods = [part.number("MetricStat.Period", 60) for part in parts] or [resource.number("Period", 60)]
    band = any("ANOMALY_DETECTION_BAND" in str(part.value("Expression", "")) for part in resource.parts("Metrics"))
    meter = "cloudwatch.alarm.fast" if min(periods) < _FAST_SECONDS else "cloudwatch.alarm"
    yield resource.exists("Alarm", _BAND if band else len(periods), meter)


def composite_alarm(resource: Resource) -> Iterator[Component]:
    """AWS::CloudWatch::CompositeAlarm."""
    yield resource.exists("Composite alarm", 1, "cloudwatch.alarm.composite")


def dashboard(resource: Resource) -> Iterator[Component]:
    """AWS::CloudWatch::Dashboard."""
    yield resource.exists("Dashboard", 1, "cloudwatch.dashboard")


def log_group(resource: Resource) -> Iterator[Component]:
    """AWS::Logs::LogGroup."""
    yield resource.uses("Taken in", resource.used("monthly_ingested_gb"), "logs.ingest")
    yield resource.uses("Kept", resource.used("storage_gb"), "logs.storage")


def metric_filter(resource: Resource) -> Iterator[Component]:
    """AWS::Logs::MetricFilter: custom metrics, paid in months in which they have values."""
    yield resource.uses("Custom metrics", resource.used("metrics"), "cloudwatch.metric")


def key(resource: Resource) -> Iterator[Component]:
    """AWS::KMS::Key; versions that its rotation makes are paid, too, for the first two (KMS's pricing page)."""
    yield resource.exists("Key", 1, "kms.key")
    yield resource.uses("Requests", resource.used("monthly_requests"), "kms.request")


def secret(resource: Resource) -> Iterator[Component]:
    """AWS::SecretsManager::Secret."""
    yield resource.exists("Secret", 1, "secrets.secret")
    yield resource.uses("Reads", resource.used("monthly_calls"), "secrets.call")


def queue(resource: Resource) -> Iterator[Component]:
    """AWS::SQS::Queue."""
    yield resource.uses("Requests", resource.used("monthly_requests"), "sqs.request")


def topic(resource: Resource) -> Iterator[Component]:
    """AWS::SNS::Topic."""
    yield resource.uses("Requests", resource.used("monthly_requests"), "sns.request")


def bus(resource: Resource) -> Iterator[Component]:
    """AWS::Events::EventBus."""
    yield resource.uses("Custom events", resource.used("monthly_events"), "events.custom")


def state_machine(resource: Resource) -> Iterator[Component]:
    """AWS::StepFunctions::StateMachine: Standard by transitions, Express by executions and what they hold."""
    if resource.text("StateMachineType", "STANDARD") == "EXPRESS":
        yield resource.uses("Executions", resource.used("monthly_requests"), "step_functions.express.request")
        yield resource.uses("Work", resource.used("workflow_gb_hours"), "step_functions.express.gb_hour")
    else:
        yield resource.uses("State transitions", resource.used("monthly_transitions"), "step_functions.transition")


def http_api(resource: Resource) -> Iterator[Component]:
    """AWS::ApiGatewayV2::Api."""
    yield resource.uses("Requests", resource.used("monthly_requests"), "api_gateway.http.request")


def rest_api(resource: Resource) -> Iterator[Component]:
    """AWS::ApiGateway::RestApi."""
    yield resource.uses("Requests", resource.used("monthly_requests"), "api_gateway.rest.request")


def stream(resource: Resource) -> Iterator[Component]:
    """AWS::Kinesis::Stream with shards."""
    yield resource.hourly("Shards", resource.number("ShardCount", 1), "kinesis.shard")


def delivery_stream(resource: Resource) -> Iterator[Component]:
    """AWS::KinesisFirehose::DeliveryStream."""
    yield resource.uses("Taken in", resource.used("monthly_gb"), "firehose.ingest")


def queries(resource: Resource) -> Iterator[Component]:
    """AWS::Athena::WorkGroup: what its queries scan; 1,000 GB are taken for a TB, which is at most 2.4 % too much."""
    yield resource.uses("Scanned", resource.used("monthly_scanned_gb") / 1_000, "athena.scanned")


def glue_job(resource: Resource) -> Iterator[Component]:
    """AWS::Glue::Job."""
    yield resource.uses("Work", resource.used("monthly_dpu_hours"), "glue.dpu")


def crawler(resource: Resource) -> Iterator[Component]:
    """AWS::Glue::Crawler."""
    yield resource.uses("Work", resource.used("monthly_dpu_hours"), "glue.crawler")


def spark(resource: Resource) -> Iterator[Component]:
    """AWS::EMRServerless::Application: its jobs; workers that are kept ready (InitialCapacity) are not counted."""
    yield resource.uses("Processors", resource.used("monthly_vcpu_hours"), "emr_serverless.vcpu")
    yield resource.uses("Memory", resource.used("monthly_memory_gb_hours"), "emr_serverless.memory")


def parameter(resource: Resource) -> Iterator[Component]:
    """AWS::SSM::Parameter: free in its standard tier."""
    if resource.text("Tier", "Standard") != "Standard":
        raise UnpricedError("no price of advanced parameters is in the table")
    yield from ()


PRICERS: Final = {
    "AWS::ApiGateway::RestApi": rest_api,
    "AWS::ApiGatewayV2::Api": http_api,
    "AWS::Athena::WorkGroup": queries,
    "AWS::CloudWatch::Alarm": alarm,
    "AWS::CloudWatch::CompositeAlarm": composite_alarm,
    "AWS::CloudWatch::Dashboard": dashboard,
    "AWS::EMRServerless::Application": spark,
    "AWS::Events::EventBus": bus,
    "AWS::Glue::Crawler": crawler,
    "AWS::Glue::Job": glue_job,
    "AWS::KMS::Key": key,
    "AWS::Kinesis::Stream": stream,
    "AWS::KinesisFirehose::DeliveryStream": delivery_stream,
    "AWS::Logs::LogGroup": log_group,
    "AWS::Logs::MetricFilter": metric_filter,
    "AWS::SNS::Topic": topic,
    "AWS::SQS::Queue": queue,
    "AWS::SSM::Parameter": parameter,
    "AWS::SecretsManager::Secret": secret,
    "AWS::Serverless::HttpApi": http_api,
    "AWS::Serverless::Api": rest_api,
    "AWS::Serverless::StateMachine": state_machine,
    "AWS::StepFunctions::StateMachine": state_machine,
}
