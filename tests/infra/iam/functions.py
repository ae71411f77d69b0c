"""Lambda functions: what their code calls, and what Lambda itself does in their name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.infra.iam.calls import ApiCall
from tests.infra.iam.hints import ASSETS, HINTS
from tests.infra.iam.interpreter import Texts, calls_of
from tests.infra.iam.needs import Need, needs_of
from tests.infra.iam.outside import LENT
from tests.infra.iam.program import Program
from tests.infra.iam.templates import Assembly, Resource, as_list
from tests.infra.iam.values import UNKNOWN, Record, Text, Values, abstract, join, only

#: (property of the function that asks for it, actions, why and where AWS says so); resources are below.
LAMBDA_ITSELF: Final = (
    ("LoggingConfig", ("logs:CreateLogStream", "logs:PutLogEvents"), "its log (developer guide, 'CloudWatch Logs')"),
    (
        "TracingConfig",
        ("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
        "its traces (developer guide, 'X-Ray'); X-Ray knows no resources",
    ),
    (
        "VpcConfig",
        (
            "ec2:CreateNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:DeleteNetworkInterface",
            "ec2:AssignPrivateIpAddresses",
            "ec2:UnassignPrivateIpAddresses",
        ),
        "its network interfaces (developer guide, 'Giving functions access to resources in a VPC')",
    ),
    ("DeadLetterConfig", ("sqs:SendMessage",), "events it could not handle (developer guide, 'Dead-letter queues')"),
)


def calls_of_function(assembly: Assembly, program: Program, function: Resource) -> frozenset[ApiCall]:
    """Return what a function's handler may call, with the settings and events that the templates give it."""
    module, _, name = function.properties["Handler"].rpartition(".")
    environ = function.properties.get("Environment", {}).get("Variables", {})
    return calls_of(
        program,
        module,
        name,
        (("event", _events(assembly, function)), ("context", UNKNOWN)),
        environ=tuple(environ.items()),
        parameters=parameters(assembly),
    )


def function_needs(assembly: Assembly, program: Program, function: Resource) -> list[Need]:
    """Return everything that a function's role needs."""
    hints = bucket_hints(assembly)
    found = [
        need
        for call in calls_of_function(assembly, program, function)
        if not call.service.startswith(LENT)
        for need in [*needs_of(call, assembly.account, hints), *_passed_roles(call, assembly)]
    ]
    for property_, actions, why in LAMBDA_ITSELF:
        given = function.properties.get(property_)
        if given:
            resource = _resource_of(property_, given, assembly)
            found += [Need(action, resource, f"Lambda keeps {why}") for action in actions]
    return found


def _resource_of(property_: str, given: Mapping[str, Any], assembly: Assembly) -> str:
    if property_ == "LoggingConfig":
        return assembly.account.arn("logs", f"log-group:{given['LogGroup']}:*")
    return str(given["TargetArn"]) if property_ == "DeadLetterConfig" else "*"


def _passed_roles(call: ApiCall, assembly: Assembly) -> list[Need]:
    """Who runs a task passes its roles (ECS developer guide, "IAM role for the task")."""
    if (call.service, call.method) != ("ecs", "run_task"):
        return []
    named = {value.text for value in call.argument("taskDefinition") if isinstance(value, Text)}
    roles = {
        definition.properties[name]
        for definition in assembly.of_type("AWS::ECS::TaskDefinition")
        if assembly.arn_of(definition) in named
        for name in ("TaskRoleArn", "ExecutionRoleArn")
    }
    return [Need("iam:PassRole", role, f"{call.where} runs a task that has this role") for role in roles]


def parameters(assembly: Assembly) -> Texts:
    """Return names and values of the SSM parameters by which the code finds what is deployed."""
    return tuple(
        (item.properties["Name"], str(item.properties["Value"])) for item in assembly.of_type("AWS::SSM::Parameter")
    )


def bucket_hints(assembly: Assembly) -> dict[str, str]:
    """Return the hints with the names of this environment's buckets."""
    buckets = {**zone_buckets(assembly), ASSETS: assets_bucket(assembly)}
    return {purpose: buckets[zone] for purpose, (zone, _) in HINTS.items()}


def zone_buckets(assembly: Assembly) -> dict[str, str]:
    """Return the bucket of each zone, by the construct that makes it."""
    found = {}
    for bucket in assembly.of_type("AWS::S3::Bucket"):
        zone, _, rest = bucket.logical_id.partition("Bucket")
        if rest:
            found[zone.lower()] = assembly.arn_of(bucket).removeprefix("arn:aws:s3:::")
    return found


def assets_bucket(assembly: Assembly) -> str:
    return f"cdk-hnb659fds-assets-{assembly.account.number}-{assembly.account.region}"


# Events


def _events(assembly: Assembly, function: Resource) -> Values:
    """Return what may call a function, as far as the templates say what it looks like."""
    arn = assembly.arn_of(function)
    rules = [rule for rule in assembly.of_type("AWS::Events::Rule") if _targets(rule, arn)]
    custom = [item for item in assembly.resources if item.properties.get("ServiceToken") == arn]
    found = [*(_event_of_rule(rule) for rule in rules), *(_event_of_resource(item) for item in custom)]
    return join(*found) if found else UNKNOWN


def _targets(rule: Resource, arn: str) -> bool:
    return any(target["Arn"] == arn for target in rule.properties.get("Targets", ()))


def _event_of_rule(rule: Resource) -> Values:
    return _matching(rule.properties.get("EventPattern", {}))


def _matching(pattern: Any) -> Values:
    """Return what an event pattern lets pass."""
    if isinstance(pattern, Mapping):
        return only(Record(tuple((key, _matching(value)) for key, value in pattern.items()), complete=False))
    return join(*(only(Text(item)) if isinstance(item, str) else UNKNOWN for item in as_list(pattern)))


def _event_of_resource(resource: Resource) -> Values:
    return abstract({"ResourceProperties": dict(resource.properties)})
