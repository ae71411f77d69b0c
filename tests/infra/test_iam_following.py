"""Following code to its calls of AWS: small pieces of it, each with a way in which a call could be overlooked."""

from __future__ import annotations

import pytest

from tests.infra.conftest import ROOT
from tests.infra.iam.calls import AnalysisError
from tests.infra.iam.interpreter import calls_of
from tests.infra.iam.needs import Account, UnsaidError, needs_of
from tests.infra.iam.program import Program
from tests.infra.iam.values import UNKNOWN

ACCOUNT = Account(region="eu-west-1", number="111122223333")
MODULE = "lambdas.tried.handler"


def follow(source: str) -> set[tuple[str, int]]:
    """Return the calls that a piece of code makes, as (service.method, line)."""
    calls = calls_of(Program(ROOT, extra={MODULE: source}), MODULE, "handler", (("event", UNKNOWN),))
    return {(f"{call.service}.{call.method}", call.line) for call in calls}


CLIENT = "from passerelle.aws.clients import client\n"


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


def test_calls_in_every_case_of_a_match_are_found_with_what_it_binds() -> None:
    source = CLIENT + (
        "def handler(event):\n"
        "    match event:\n"
        "        case {'key': str() as key} if client('s3').head_bucket(Bucket='b'):\n"
        "            client('s3').put_object(Bucket='b', Key=key)\n"
        "            name = 'one'\n"
        "        case list():\n"
        "            return\n"
        "        case other:\n"
        "            name = 'two'\n"
        "    client('sqs').send_message(QueueUrl=name)\n"
        "    match client('s3'):\n"
        "        case made:\n"
        "            made.delete_object(Bucket=name, Key='k')\n"
    )
    found = follow(source)
    assert {name for name, _ in found} == {
        "s3.head_bucket", "s3.put_object", "sqs.send_message", "s3.delete_object",
    }  # fmt: skip


CALLER = f"""{CLIENT}
import io
from functools import partial
def put(number=0):
    client('sqs').send_message(QueueUrl='q')
class Parent:
    def work(self):
        put()
class Child(Parent):
    def work(self):
        super().work()
    def __enter__(self):
        put()
    def __iter__(self):
        put()
        return iter(())
    def __call__(self):
        put()
class Stream(io.RawIOBase):
    def readinto(self, buffer):
        put()
def handler(event):
    BODY
"""


@pytest.mark.parametrize(
    "body",
    [
        "Child().work()",
        "with Child(): pass",
        "list(item for item in Child())",
        "Child()()",
        "io.BufferedReader(Stream())",
        "getattr(Child(), 'work')()",
        "partial(put, 1)()",
        "event.map(put)",
        "{'key': put}['key']()",
        "[step() for step in (put,)]",
    ],
)
def test_calls_by_ways_that_python_hides_are_found(body: str) -> None:
    assert {name for name, _ in follow(CALLER.replace("BODY", body))} == {"sqs.send_message"}


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
    calls = calls_of(Program(ROOT, extra={MODULE: source}), MODULE, "handler", (("event", UNKNOWN),))
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
        ("getattr(Maker(), event['what'])()", "getattr with a name that is not known"),
        ("global made", "names of an outer scope"),
    ],
)
def test_what_cannot_be_followed_is_refused_not_passed_over(body: str, words: str) -> None:
    with pytest.raises(AnalysisError, match=words):
        follow(f"import boto3, shutil\n{CLIENT}class Maker: pass\ndef handler(event):\n    {body}\n")


def test_a_bucket_that_nothing_names_is_refused() -> None:
    with pytest.raises(UnsaidError, match="does not say on which bucket"):
        _actions(f"{CLIENT}def handler(event):\n    client('s3').get_object(Bucket=event['b'], Key='k')\n")
