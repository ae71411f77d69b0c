"""Requests that a client without boto3's own checks can send: refused with SageMaker's errors, never a server error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.api import SageMaker
from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.http import SageMakerHttp
from laptop.settings import LaptopSettings
from tests.contract import sagemaker_requests as make
from tests.fakes.surroundings import QuietSurroundings


@pytest.fixture
def sagemaker(tmp_path: Path) -> Iterator[SageMaker]:
    service = SageMaker(LaptopSettings(home=tmp_path, images={"script": ("true",)}), QuietSurroundings(tmp_path / "s3"))
    service.call("CreateModel", make.model("contract-model"))
    yield service
    service.close()


def post(sagemaker: SageMaker, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
    http = SageMakerHttp(sagemaker)
    headers = {"x-amz-target": f"SageMaker.{operation}"}
    status, _, answer = asyncio.run(http.handle_request("POST", "/", headers, body, {}))
    return status, json.loads(answer)


@pytest.mark.parametrize("operation", ["ListModels", "ListEndpoints", "ListEndpointConfigs"])
@pytest.mark.parametrize(
    "wrong",
    [
        '{"CreationTimeAfter": "garbage"}',
        '{"CreationTimeBefore": 1e300}',
        '{"CreationTimeBefore": -1e300}',
        '{"NextToken": "LTU="}',
        '{"NextToken": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA="}',
        '{"NextToken": "\\u00e9"}',
    ],
)
def test_a_list_refuses_what_is_no_time_or_no_token_of_its_own(
    sagemaker: SageMaker, operation: str, wrong: str
) -> None:
    status, document = post(sagemaker, operation, wrong.encode())
    assert (status, document["__type"]) == (400, "ValidationException"), document


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b"[" * 100_000,
        b'{"MaxResults": NaN}',
        b'{"MaxResults": -Infinity}',
    ],
)
def test_a_body_that_is_no_json_object_is_a_serialization_error(sagemaker: SageMaker, body: bytes) -> None:
    status, document = post(sagemaker, "ListModels", body)
    assert (status, document["__type"]) == (400, "SerializationException"), document


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("ListModels", {"NameContains": None, "NextToken": None, "SortBy": None, "MaxResults": None}),
        ("CreateModel", make.model("with-nulls") | {"Tags": None, "VpcConfig": None}),
    ],
)
def test_a_null_member_counts_as_absent(sagemaker: SageMaker, operation: str, request_: dict[str, Any]) -> None:
    status, document = post(sagemaker, operation, json.dumps(request_).encode())
    assert status == 200, document


@pytest.mark.parametrize("key", ["__time__", "=", "=__time__", "==x"])
def test_keys_that_users_name_come_back_as_they_were_given(sagemaker: SageMaker, key: str) -> None:
    # The laptop holds no pattern that Java alone reads, so such keys arrive as tags too.
    sagemaker.call("CreateModel", make.model("odd", Tags=[{"Key": key, "Value": "2026"}]))
    described = sagemaker.call("DescribeModel", {"ModelName": "odd"})
    tags = sagemaker.call("ListTags", {"ResourceArn": described["ModelArn"]})["Tags"]
    assert tags == [{"Key": key, "Value": "2026"}]


def test_a_variable_named_like_the_stores_own_mark_poisons_nothing(sagemaker: SageMaker) -> None:
    environment = {"__time__": "not a time"}
    sagemaker.call("CreateModel", make.model("odd", PrimaryContainer__Environment=environment))
    described = sagemaker.call("DescribeModel", {"ModelName": "odd"})
    assert described["PrimaryContainer"]["Environment"] == environment
    assert {item["ModelName"] for item in sagemaker.call("ListModels", {})["Models"]} == {"contract-model", "odd"}
    assert described["CreationTime"].tzinfo is not None


@pytest.mark.parametrize(
    ("operation", "rest"),
    [("AddTags", {"Tags": [{"Key": "a", "Value": "b"}]}), ("ListTags", {}), ("DeleteTags", {"TagKeys": ["a"]})],
)
def test_tags_belong_to_what_exists_only(sagemaker: SageMaker, operation: str, rest: dict[str, Any]) -> None:
    identity = "arn:aws:sagemaker:us-east-1:000000000000:model/nobody"
    with pytest.raises(SageMakerError, match="Could not find") as caught:
        sagemaker.call(operation, {"ResourceArn": identity, **rest})
    assert caught.value.code == "ValidationException"


def test_a_deleted_model_or_configuration_takes_its_tags_with_it(sagemaker: SageMaker) -> None:
    tags = [{"Key": "a", "Value": "b"}]
    config = sagemaker.call("CreateEndpointConfig", make.endpoint_config("c", Tags=tags))["EndpointConfigArn"]
    model = sagemaker.call("CreateModel", make.model("m", Tags=tags))["ModelArn"]
    sagemaker.call("DeleteEndpointConfig", {"EndpointConfigName": "c"})
    sagemaker.call("DeleteModel", {"ModelName": "m"})
    for identity in (config, model):
        with pytest.raises(SageMakerError, match="Could not find"):
            sagemaker.call("AddTags", {"ResourceArn": identity, "Tags": tags})
