"""Every role may do what its code, its states and AWS itself do in its name, and nothing else.

The second half tries the proof itself, on templates with a grant too few or too many, and on changed steps. How code is
followed is tried in test_iam_following.
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
from tests.infra.iam.compare import TOLERATED, problems, with_keys
from tests.infra.iam.functions import calls_of_function, function_needs
from tests.infra.iam.hints import HINTS
from tests.infra.iam.interpreter import calls_of
from tests.infra.iam.needs import Need, UnsaidError, needs_of
from tests.infra.iam.outside import LENT
from tests.infra.iam.program import Program, SourceModule
from tests.infra.iam.prove import all_problems, grants_of, needs_by_role
from tests.infra.iam.states import UnknownTaskError, machine_needs
from tests.infra.iam.templates import Assembly, Grant, Resource

pytestmark = pytest.mark.xdist_group("infra")
Synthesise = Callable[[str], Path]


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


#: Run by an administrator, with an administrator's rights: no role of ours is behind it.
OF_THE_COMMAND_LINE = ("passerelle/steps/restore_environment.py",)


def test_every_call_of_aws_in_the_steps_is_reached_from_a_function(prod: Assembly, program: Program) -> None:
    # A call that is not reached would be a call of which nothing is proved.
    reached = {
        (call.file, call.line)
        for function in prod.of_type("AWS::Lambda::Function")
        for call in calls_of_function(prod, program, function)
    }
    written = {
        (module.path, line)
        for module in program.modules_below("passerelle.steps")
        for line in _calls_in(module)
        if module.path not in OF_THE_COMMAND_LINE
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
    # What is called with another account's role is proved of that role (lending.py).
    calls = [call for call in calls if not call.service.startswith(LENT)]
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


def test_a_call_that_is_given_up_leaves_its_grant_unused(prod: Assembly) -> None:
    text = (ROOT / "passerelle/steps/close_run.py").read_text()
    without = text.replace('        table.delete(project, "LOCK", run_id=run_id)\n', "")
    assert without != text
    function = _function(prod, "close_run")
    changed = Program(ROOT, extra={"passerelle.steps.close_run": without})
    needs = with_keys(function_needs(prod, changed, function), prod)
    (found,) = problems("CloseRun", needs, grants_of(function.properties["Role"], prod))
    assert found.startswith("UNUSED CloseRun may dynamodb:DeleteItem on arn:aws:dynamodb")


def _function(assembly: Assembly, name: str) -> Resource:
    (found,) = (
        item
        for item in assembly.of_type("AWS::Lambda::Function")
        if item.properties["Handler"] == f"lambdas.{name}.handler.handler"
    )
    return found


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


def test_a_new_call_in_a_step_is_found_and_missed(synthesised: Synthesise, prod: Assembly, tmp_path: Path) -> None:
    step = "passerelle/steps/close_run.py"
    text = (
        (ROOT / step)
        .read_text()
        .replace(
            "    status = STATUSES[request",
            '    client("ses").send_email(Source="a@b", Destination={}, Message={})\n    status = STATUSES[request',
        )
    )
    changed = Program(ROOT, extra={"passerelle.steps.close_run": text})
    calls = {call.method: call for call in calls_of_function(prod, changed, _function(prod, "close_run"))}
    assert calls["send_email"].file == step
    with pytest.raises(UnsaidError, match=r"close_run.py:\d+ .*calls ses:SendEmail"):
        needs_of(calls["send_email"], prod.account, {})


def test_a_state_of_an_unknown_kind_is_refused(prod: Assembly) -> None:
    machine = prod.of_type("AWS::StepFunctions::StateMachine")[0]
    state = {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Arguments": {}, "End": True}
    definition = json.dumps({"StartAt": "Tell", "States": {"Tell": state}})
    changed = type(machine)(machine.stack, machine.logical_id, machine.type, {"DefinitionString": definition})
    with pytest.raises(UnknownTaskError, match=r"state Tell: .* does not know what arn:aws:states:::sns:publish needs"):
        machine_needs(prod, changed)
