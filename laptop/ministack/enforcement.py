"""Where policies are enforced: what MiniStack's AUTH switch passes over.

With AUTH=true MiniStack checks each request over HTTP against the policies of its caller. It knows keys that may do
everything unasked, takes states, rules and schedules at their word, and looks neither at iam:PassRole nor at KMS keys
behind buckets. Each of these is closed here, at the places that its other seams use (docs/security.md says what is
left).
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

from laptop.ministack.deliveries import report
from laptop.ministack.executions import CURRENT
from laptop.ministack.identities import Identities
from laptop.ministack.sagemaker_permissions import Permission, endpoint_of, permissions
from laptop.ministack.watching_permissions import alarm_permissions, scaling_permissions
from laptop.sagemaker.epoch import plain
from laptop.settings import LaptopSettings
from laptop.surroundings import RefusedError

#: Services whose aws-sdk tasks need what their own requests say.
_WATCHING: Final = {"cloudwatch": alarm_permissions, "applicationautoscaling": scaling_permissions}
_EVENTS: Final = "events.amazonaws.com"
_SCHEDULER: Final = "scheduler.amazonaws.com"
_STATES: Final = "states.amazonaws.com"
#: What a task fails with that its machine's role may not do: the base class of the service in the AWS SDK that Step
#: Functions uses (see `tasks`).
_TASK_ERRORS: Final = {
    "arn:aws:states:::lambda:": ("Lambda.AWSLambdaException", "AWSLambda", 403),
    "arn:aws:states:::states:": ("StepFunctions.AWSStepFunctionsException", "AWSStepFunctions", 400),
    "arn:aws:states:::sagemaker:": ("SageMaker.AmazonSageMakerException", "AmazonSageMaker", 400),
    "arn:aws:states:::aws-sdk:sagemaker:": ("SageMaker.SageMakerException", "SageMaker", 400),
    "arn:aws:states:::aws-sdk:cloudwatch:": ("CloudWatch.CloudWatchException", "CloudWatch", 403),
    "arn:aws:states:::aws-sdk:applicationautoscaling:": (
        "ApplicationAutoScaling.ApplicationAutoScalingException",
        "ApplicationAutoScaling",
        400,
    ),
}


def install_enforcement(settings: LaptopSettings, identities: Identities) -> None:
    """Patch MiniStack. Before `install_deliveries`, which tries again what is refused here, and buries it."""
    if not settings.enforce:
        return
    _let_nobody_pass_unasked()
    _encrypt_deployed_buckets()
    _check_keys_behind_buckets()
    _name_resources(settings)
    _check_sagemaker_requests(settings, identities)
    _check_states(settings, identities)
    _check_deliveries(settings, identities)


def _let_nobody_pass_unasked() -> None:
    """MiniStack lets `test`, any account number and an unreadable header pass as root without a signature.

    Only the administrator's key remains, and its signature is verified like any other. No key at all means root to
    MiniStack's evaluator, which asks it about anonymous requests to S3 only; S3 itself refuses these.
    """
    from ministack.core import iam_evaluator
    from ministack.services import sts

    def is_root_access_key(key: str) -> bool:
        return bool(key == os.environ["AWS_ACCESS_KEY_ID"] if key else iam_evaluator._anonymous.get())

    iam_evaluator.is_root_access_key = sts.is_root_access_key = is_root_access_key
    iam_evaluator._is_root_key = lambda key: False


def _encrypt_deployed_buckets() -> None:
    """MiniStack's CloudFormation passes over a bucket's BucketEncryption."""
    from ministack.services import s3
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]

    def encrypted(provision: Callable[..., tuple[str, Any]], position: int) -> Callable[..., tuple[str, Any]]:
        def run(*arguments: Any) -> tuple[str, Any]:
            name, attributes = provision(*arguments)
            rules = arguments[position].get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", ())
            given = [rule.get("ServerSideEncryptionByDefault", {}) for rule in rules]
            words = "".join(f"<{key}>{escape(str(value))}</{key}>" for rule in given for key, value in rule.items())
            if "KMSMasterKeyID" in words:  # without it, it is AWS's own key, which MiniStack does not have
                s3._put_bucket_encryption(name, _ENCRYPTION.format(words).encode())
            return name, attributes

        return run

    for event, position in (("create", 1), ("update", 2)):
        if event in handlers:
            handlers[event] = encrypted(handlers[event], position)


_ENCRYPTION: Final = (
    "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>{}"
    "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
)


def _check_keys_behind_buckets() -> None:
    """On AWS who reads or writes an object needs the KMS key that the bucket is encrypted with (S3, "SSE-KMS")."""
    from ministack.core import iam_actions
    from ministack.services import s3

    check = iam_actions.s3_additional_checks

    def with_keys(method: str, path: str, headers: Any, body: bytes, query: Any) -> list[tuple[str, str]]:
        needed = list(check(method, path, headers, body, query))
        bucket, _, key = path.lstrip("/").partition("/")
        used = s3._bucket_default_sse_headers(bucket).get("x-amz-server-side-encryption-aws-kms-key-id")
        action = iam_actions._s3_action(method, path, query)
        if key and used and method != "HEAD" and action in ("GetObject", "GetObjectVersion"):
            needed.append(("kms:Decrypt", used))
        if key and used and action == "PutObject":
            needed.append(("kms:GenerateDataKey", used))
        return needed

    iam_actions.s3_additional_checks = with_keys


def _name_resources(settings: LaptopSettings) -> None:
    """Where MiniStack does not know what a request is about, it asks policies about `*`: no narrow one allows that."""
    from ministack.core import iam_actions

    name = iam_actions.extract_resource_arn

    def extract_resource_arn(service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> str:
        if service == "sagemaker":
            return endpoint_of(settings, path) or next(_needed_over_http(settings, headers, body)).resource
        if service == "ssm" and headers.get("x-amz-target", "").endswith(".GetParametersByPath"):
            below = str(_document(body).get("Path", "")).strip("/")
            return f"arn:aws:ssm:{settings.region}:{settings.account_id}:parameter/{below}"
        return str(name(service, method, path, headers, body, *rest))

    iam_actions.extract_resource_arn = extract_resource_arn


def _needed_over_http(settings: LaptopSettings, headers: Mapping[str, str], body: bytes) -> Iterator[Permission]:
    operation = headers.get("x-amz-target", "").rpartition(".")[2]
    return permissions(settings, operation, _document(body))


def _document(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        request = {}  # the service itself refuses it
    return request if isinstance(request, dict) else {}


def _check_sagemaker_requests(settings: LaptopSettings, identities: Identities) -> None:
    """MiniStack has asked about the operation; what else its request needs is asked here."""
    import ministack.app as app
    from ministack.core.router import extract_access_key_id

    handle: Callable[..., Awaitable[Any]] = app.SERVICE_HANDLERS["sagemaker"]

    async def checked(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        if endpoint_of(settings, path) is None:
            try:
                for needed in _needed_over_http(settings, headers, body):
                    identities.check(
                        extract_access_key_id(headers, query), needed.action, needed.resource, needed.conditions
                    )
            except RefusedError as error:
                document = {"__type": "AccessDeniedException", "message": str(error), "Message": str(error)}
                return 400, {"content-type": "application/x-amz-json-1.1"}, json.dumps(document).encode()
        return await handle(method, path, headers, body, query)

    app.SERVICE_HANDLERS["sagemaker"] = checked


def _check_states(settings: LaptopSettings, identities: Identities) -> None:
    """A task acts with the role of its state machine."""
    from ministack.services import stepfunctions as sfn

    invoke = sfn._invoke_resource

    def invoke_resource(resource: str, request: dict[str, Any]) -> Any:
        prefix = next((name for name in _TASK_ERRORS if resource.startswith(name)), None)
        current = CURRENT.get()
        execution = sfn._executions.get(current[0]) if current else None
        if prefix is None or execution is None:
            raise sfn._ExecutionError("States.Runtime", f"What {resource} needs cannot be checked on the laptop")
        machine = execution["stateMachineArn"]
        role = sfn._state_machines.get(machine)["roleArn"]
        try:
            keys = identities.take_on(role, _STATES, source=machine, session=execution["name"][:64])
            for needed in _needed_by_task(settings, resource, request):
                identities.check(keys.access_key_id, needed.action, needed.resource, needed.conditions)
        except RefusedError as error:
            name, service, status = _TASK_ERRORS[prefix]
            cause = f"{error} (Service: {service}; Status Code: {status}; Error Code: AccessDeniedException)"
            raise sfn._ExecutionError(name, cause) from error
        return invoke(resource, request)

    sfn._invoke_resource = invoke_resource


def _needed_by_task(settings: LaptopSettings, resource: str, request: dict[str, Any]) -> Iterator[Permission]:
    place = f"{settings.region}:{settings.account_id}"
    call = resource.rpartition(":")[2] if not resource.endswith(":2") else resource.split(":")[-2]
    operation, _, pattern = call.partition(".")
    if resource.startswith("arn:aws:states:::lambda:"):
        name = str(request.get("FunctionName"))
        yield Permission(
            "lambda:InvokeFunction", name if name.startswith("arn:") else f"arn:aws:lambda:{place}:function:{name}"
        )
    elif resource.startswith("arn:aws:states:::states:"):
        machine = str(request.get("StateMachineArn"))
        yield Permission("states:StartExecution", machine)
        if pattern == "sync":
            child = f"{machine.replace(':stateMachine:', ':execution:')}:{request.get('Name', '')}"
            yield from (Permission(f"states:{word}Execution", child) for word in ("Describe", "Stop"))
    else:
        name = operation[0].upper() + operation[1:]
        document = json.loads(json.dumps(request, default=plain))
        yield from _WATCHING.get(resource.split(":")[-2], permissions)(settings, name, document)
        if pattern == "sync":
            for word in ("Describe", "Stop"):
                yield next(permissions(settings, name.replace("Create", word), document))


def _check_deliveries(settings: LaptopSettings, identities: Identities) -> None:
    """A rule may invoke a function that lets it, a schedule what its target's role may."""
    from ministack.services import eventbridge

    invoke = eventbridge._invoke_target

    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: Any, view: Any = None) -> None:
        function, source = str(target.get("Arn", "")), str(rule.get("Arn", ""))
        try:
            if ":scheduler:" in source:
                group = source.rpartition("/")[0].replace(":schedule/", ":schedule-group/")
                keys = identities.take_on(target["RoleArn"], _SCHEDULER, source=group, session="scheduler")
                if ":lambda:" in function:
                    identities.check(keys.access_key_id, "lambda:InvokeFunction", function)
            elif ":lambda:" in function:
                identities.check_service(_EVENTS, "lambda:InvokeFunction", function, source=source)
        except RefusedError as error:
            report("NO_PERMISSIONS", str(error))
            return
        invoke(target, event, rule, view)

    eventbridge._invoke_target = invoke_target
