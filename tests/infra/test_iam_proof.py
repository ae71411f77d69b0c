"""Every role may do what its code, its states and AWS itself do in its name, and nothing else.

The second half tries the proof itself: on templates with a grant too few or too many, and on small pieces of code.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.conftest import ENVIRONMENTS, ROOT
from tests.infra.iam.botocore_model import METHODS
from tests.infra.iam.calls import AnalysisError
from tests.infra.iam.compare import TOLERATED, problems, with_keys
from tests.infra.iam.functions import calls_of_function
from tests.infra.iam.hints import HINTS
from tests.infra.iam.interpreter import Interpreter, calls_of
from tests.infra.iam.needs import Account, Need, UnsaidError, needs_of
from tests.infra.iam.program import Program, SourceModule
from tests.infra.iam.prove import all_problems, grants_of, needs_by_role
from tests.infra.iam.states import UnknownTaskError, machine_needs
from tests.infra.iam.templates import Assembly, Grant
from tests.infra.iam.values import UNKNOWN

pytestmark = pytest.mark.xdist_group("infra")
Synthesise = Callable[[str], Path]
ACCOUNT = Account(region="eu-west-1", number="111122223333")


@pytest.fixture(scope="session")
def program() -> Program:
    return Program(ROOT)


@pytest.fixture(scope="session")
def prod(synthesised: Synthesise) -> Assembly:
    return Assembly(synthesised("prod"))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_role_may_do_what_is_called_in_its_name_and_nothing_else(
    synthesised: Synthesise, program: Program, environment: str
) -> None:
    found = all_problems(Assembly(synthesised(environment)), program)
    assert not found, "\n" + "\n".join(found)


def test_no_role_has_a_policy_that_aws_manages(prod: Assembly) -> None:
    # What AWS manages grows without our knowledge, and the proof could not see it.
    for role in prod.of_type("AWS::IAM::Role"):
        assert not role.properties.get("ManagedPolicyArns"), role.label
    assert not prod.of_type("AWS::IAM::ManagedPolicy")


def test_every_call_of_aws_in_the_steps_is_reached_from_a_function(prod: Assembly, program: Program) -> None:
    # A call that is not reached would be a call of which nothing is proved.
    reached = {
        (call.file, call.line)
        for function in prod.of_type("AWS::Lambda::Function")
        for call in calls_of_function(prod, program, function)
    }
    written = {
        (module.path, line) for module in program.modules_below("passerelle.steps") for line in _calls_in(module)
    }
    assert written
    assert written <= reached


def _calls_in(module: SourceModule) -> Iterator[int]:
    """Yield the lines that call a method named like one of boto3's, of anything but a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and "_" in node.func.attr:
            imported = isinstance(node.func.value, ast.Name) and node.func.value.id in module.bindings
            if node.func.attr in METHODS - {"get_paginator", "get_waiter"} and not imported:
                yield node.lineno


def test_every_hint_is_needed(prod: Assembly, program: Program) -> None:
    # Without it, the code that it is about could not be proved: `needs_of` refuses what nothing says.
    for purpose in HINTS:
        others = {name: "bucket" for name in HINTS if name != purpose}
        with pytest.raises(UnsaidError, match=re.escape(f"which one {purpose} means")):
            _needs_of_everything(prod, program, others)


def _needs_of_everything(assembly: Assembly, program: Program, hints: dict[str, str]) -> list[Need]:
    functions = assembly.of_type("AWS::Lambda::Function")
    calls = [call for function in functions for call in calls_of_function(assembly, program, function)]
    calls += calls_of(program, "training.prepare.main", "main")
    return [need for call in calls for need in needs_of(call, assembly.account, hints)]


def test_what_is_tolerated_is_still_granted(prod: Assembly) -> None:
    for action, service in TOLERATED:
        roles = [arn for arn, role in prod.roles().items() if prod.service_of(role) == service]
        assert any(grant.action == action for role in roles for grant in prod.grants(role)), action


# The proof itself


def test_no_single_permission_can_be_taken_away_unnoticed(prod: Assembly, program: Program) -> None:
    # Nor is any granted twice: then taking one away would change nothing.
    unnoticed = []
    for role, needs in needs_by_role(prod, program).items():
        grants = grants_of(role, prod)
        for number, grant in enumerate(grants):
            if not _missing(role, needs, [*grants[:number], *grants[number + 1 :]]):
                unnoticed.append(f"{grant.action} on {grant.resource}: {grant.where}")
    assert not unnoticed, "\n".join(unnoticed)


def _missing(role: str, needs: list[Need], grants: list[Grant]) -> bool:
    return any(text.startswith("MISSING") for text in problems(role, needs, grants))


def _changed(assembly: Path, target: Path, change: Callable[[str, dict[str, Any]], None]) -> Assembly:
    """Return a copy of an assembly, each of whose policies `change` may change."""
    shutil.copytree(assembly, target, ignore=shutil.ignore_patterns("asset.*"))
    for path in target.glob("*.template.json"):
        template = json.loads(path.read_text())
        for name, resource in template["Resources"].items():
            if resource["Type"] == "AWS::IAM::Policy":
                change(name, resource["Properties"]["PolicyDocument"])
        path.write_text(json.dumps(template))
    return Assembly(target)


def test_a_grant_that_is_taken_away_is_missed_with_the_line_that_needs_it(
    synthesised: Synthesise, program: Program, tmp_path: Path
) -> None:
    def without_put(name: str, document: dict[str, Any]) -> None:
        if name.startswith("CloseRunRole"):
            for statement in document["Statement"]:
                if isinstance(statement["Action"], list) and "dynamodb:PutItem" in statement["Action"]:
                    statement["Action"].remove("dynamodb:PutItem")

    found = all_problems(_changed(synthesised("dev"), tmp_path / "assembly", without_put), program)
    assert found
    assert all("CloseRunRole" in text and "may not dynamodb:PutItem on arn:aws:dynamodb" in text for text in found)
    assert all("passerelle/aws/runs_table.py:" in text and "passerelle.steps.close_run" in text for text in found)


def test_a_grant_that_is_added_is_named_with_its_statement(
    synthesised: Synthesise, program: Program, tmp_path: Path
) -> None:
    def with_delete(name: str, document: dict[str, Any]) -> None:
        if name.startswith("SmokeTestRole"):
            document["Statement"].append(
                {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::somewhere/*"}
            )

    (found,) = all_problems(_changed(synthesised("dev"), tmp_path / "assembly", with_delete), program)
    assert found.startswith("UNUSED")
    assert "may s3:DeleteObject on arn:aws:s3:::somewhere/*, which nothing calls" in found
    assert "SmokeTestRoleDefaultPolicy" in found
    assert ", statement " in found


def test_a_grant_on_another_bucket_than_the_code_reads_is_both_missing_and_unused(
    synthesised: Synthesise, program: Program, tmp_path: Path
) -> None:
    def elsewhere(name: str, document: dict[str, Any]) -> None:
        if name.startswith("SmokeTestRole"):
            for statement in document["Statement"]:
                if statement["Action"] == "s3:GetObject":
                    statement["Resource"] = "arn:aws:s3:::elsewhere/*"

    found = all_problems(_changed(synthesised("dev"), tmp_path / "assembly", elsewhere), program)
    assert [text.split()[0] for text in found] == ["MISSING", "UNUSED"]


def test_a_role_that_nothing_uses_has_only_unused_grants(prod: Assembly, program: Program) -> None:
    needs = needs_by_role(prod, program)
    assert set(needs) == set(prod.roles())
    grant = Grant("s3:GetObject", "arn:aws:s3:::bucket/*", "Policy, statement 1")
    assert problems("Role", [], [grant]) == [
        "UNUSED Role may s3:GetObject on arn:aws:s3:::bucket/*, which nothing calls: Policy, statement 1"
    ]


def test_what_is_encrypted_needs_its_key(prod: Assembly) -> None:
    bucket = next(item for item in prod.of_type("AWS::S3::Bucket") if item.logical_id.startswith("Raw"))
    read = Need("s3:GetObject", f"{prod.arn_of(bucket)}/key", "somebody reads")
    (_, key) = with_keys([read], prod)
    assert (key.action, key.resource) == ("kms:Decrypt", prod.arn_of(prod.of_type("AWS::KMS::Key")[0]))


# Following code

MODULE = "lambdas.tried.handler"


def follow(source: str, *, entry: str = "handler", **modules: str) -> set[tuple[str, int]]:
    """Return the calls that a piece of code makes, as (service.method, line)."""
    extra = {MODULE: source, **{f"passerelle.aws.{name}": text for name, text in modules.items()}}
    interpreter = Interpreter(Program(ROOT, extra=extra))
    calls = interpreter.follow(interpreter.global_name(MODULE, entry), {"event": UNKNOWN})
    return {(f"{call.service}.{call.method}", call.line) for call in calls}


CLIENT = "from passerelle.aws.clients import client\n"


def test_a_new_call_in_a_step_is_found_and_missed(synthesised: Synthesise, prod: Assembly, tmp_path: Path) -> None:
    step = "passerelle/steps/close_run.py"
    text = (
        (ROOT / step)
        .read_text()
        .replace(
            "    status = STATUSES[request",
            '    client("sns").publish(TopicArn="arn:aws:sns:x", Message="")\n    status = STATUSES[request',
        )
    )
    changed = Program(ROOT, extra={"passerelle.steps.close_run": text})
    function = next(f for f in prod.of_type("AWS::Lambda::Function") if "close_run" in f.properties["Handler"])
    calls = {call.method: call for call in calls_of_function(prod, changed, function)}
    assert calls["publish"].file == step
    with pytest.raises(UnsaidError, match=r"close_run.py:\d+ .*calls sns:Publish"):
        needs_of(calls["publish"], prod.account, {})


def test_calls_are_found_through_methods_closures_lambdas_and_callbacks() -> None:
    source = CLIENT + (
        "class Table:\n"
        "    def __init__(self, client):\n"
        "        self._client = client\n"
        "    def read(self):\n"
        "        return self._try(lambda: self._client.get_item(TableName='t'))\n"
        "    def _try(self, work):\n"
        "        return work()\n"
        "def handler(event):\n"
        "    def inner():\n"
        "        return client('sqs').send_message(QueueUrl='q')\n"
        "    for number in range(2):\n"
        "        Table(client('dynamodb')).read()\n"
        "    return sorted([1], key=lambda item: inner())\n"
    )
    assert follow(source) == {("dynamodb.get_item", 6), ("sqs.send_message", 11)}


def test_calls_in_every_branch_handler_generator_and_comprehension_are_found() -> None:
    source = CLIENT + (
        "def pages():\n"
        "    yield from client('s3').get_paginator('list_objects_v2').paginate(Bucket='b')\n"
        "def handler(event):\n"
        "    try:\n"
        "        keys = [item for page in pages() for item in page]\n"
        "    except ValueError:\n"
        "        client('s3').put_object(Bucket='b', Key='k')\n"
        "    if event:\n"
        "        client('s3').delete_object(Bucket='b', Key='k')\n"
        "    else:\n"
        "        client('s3').get_waiter('object_exists').wait(Bucket='b', Key='k')\n"
    )
    assert {name for name, _ in follow(source)} == {
        "s3.get_paginator:list_objects_v2", "s3.put_object", "s3.delete_object", "s3.get_waiter:object_exists",
    }  # fmt: skip


def test_what_the_arguments_rule_out_is_not_called() -> None:
    source = CLIENT + (
        "def read(key, version=None):\n"
        "    pinned = {'VersionId': version} if version else {}\n"
        "    return client('s3').get_object(Bucket='b', Key=key, **pinned)\n"
        "def handler(event):\n"
        "    read('k')\n"
    )
    assert _actions(source) == {"s3:GetObject"}
    assert _actions(source.replace("read('k')", "read('k', event['v'])")) == {"s3:GetObject", "s3:GetObjectVersion"}


def test_who_tells_a_missing_object_from_a_forbidden_one_needs_to_list() -> None:
    source = CLIENT + (
        "from passerelle.errors import NotFoundError\n"
        "from passerelle.aws.objects import Objects\n"
        "def handler(event):\n"
        "    try:\n"
        "        Objects(client('s3')).read('b', 'k')\n"
        "    except NotFoundError:\n"
        "        return None\n"
    )
    assert _actions(source) == {"s3:GetObject", "s3:ListBucket"}


def _actions(source: str) -> set[str]:
    interpreter = Interpreter(Program(ROOT, extra={MODULE: source}))
    calls = interpreter.follow(interpreter.global_name(MODULE, "handler"), {"event": UNKNOWN})
    return {need.action for call in calls for need in needs_of(call, ACCOUNT, {})}


@pytest.mark.parametrize(
    ("call", "actions"),
    [
        ("client('s3').head_object(Bucket='b', Key='k')", {"s3:GetObject"}),
        ("client('s3').upload_file('f', 'b', 'k')", {"s3:PutObject", "s3:AbortMultipartUpload"}),
        ("client('s3').download_file('b', 'k', 'f')", {"s3:GetObject"}),
        ("client('s3').copy_object(CopySource={'Bucket': 'a', 'Key': 'k'}, Bucket='b', Key='k')", {"s3:GetObject", "s3:PutObject"}),
        ("client('s3').get_paginator('list_object_versions').paginate(Bucket='b')", {"s3:ListBucketVersions"}),
        ("client('sagemaker-runtime').invoke_endpoint(EndpointName='e')", {"sagemaker:InvokeEndpoint"}),
        ("client('stepfunctions').start_execution(stateMachineArn='arn:m')", {"states:StartExecution"}),
    ],
)  # fmt: skip
def test_methods_become_the_actions_that_iam_knows(call: str, actions: set[str]) -> None:
    assert _actions(f"{CLIENT}def handler(event):\n    {call}\n") == actions


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("event['maker'].get_item(TableName='t')", "its client cannot be followed"),
        ("shutil.copy(client('s3'), 'x')", "a client of s3 is given to shutil.copy"),
        ("client(event['service']).get_item()", "service of this client is not known"),
        ("boto3.resource('s3').Bucket('b')", "boto3.resource is not followed"),
        ("client('s3').get_paginator(event['what'])", "operation of this paginator"),
    ],
)
def test_what_cannot_be_followed_is_refused_not_passed_over(body: str, words: str) -> None:
    with pytest.raises(AnalysisError, match=words):
        follow(f"import boto3, shutil\n{CLIENT}def handler(event):\n    {body}\n")


def test_a_bucket_that_nothing_names_is_refused() -> None:
    with pytest.raises(UnsaidError, match="does not say on which bucket"):
        _actions(f"{CLIENT}def handler(event):\n    client('s3').get_object(Bucket=event['b'], Key='k')\n")


def test_a_state_of_an_unknown_kind_is_refused(prod: Assembly) -> None:
    machine = prod.of_type("AWS::StepFunctions::StateMachine")[0]
    state = {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Arguments": {}, "End": True}
    definition = json.dumps({"StartAt": "Tell", "States": {"Tell": state}})
    changed = type(machine)(machine.stack, machine.logical_id, machine.type, {"DefinitionString": definition})
    with pytest.raises(UnknownTaskError, match=r"state Tell: .* does not know what arn:aws:states:::sns:publish needs"):
        machine_needs(prod, changed)
