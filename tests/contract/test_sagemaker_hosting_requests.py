"""Requests that a client without boto3's own checks can send: refused with SageMaker's errors, never a server error."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


S3_SOURCE = {"S3Uri": "s3://b/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://b/c",
    "CaptureOptions": [{"CaptureMode": "Input"}],
    "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
}
TRAFFIC = {"Type": "CANARY", "WaitIntervalInSeconds": 0, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10}}
SOUND: dict[str, dict[str, Any]] = {
    "CreateModel": make.model(
        "m",
        PrimaryContainer__ModelDataSource={"S3DataSource": S3_SOURCE},
        PrimaryContainer__AdditionalModelDataSources=[{"ChannelName": "a", "S3DataSource": S3_SOURCE}],
        PrimaryContainer__Environment={"A": "b"},
        Tags=[{"Key": "a", "Value": "b"}],
    ),
    "CreateEndpointConfig": make.endpoint_config(
        "c", ShadowProductionVariants=[make.variant("shadow")], DataCaptureConfig=CAPTURE
    ),
    "CreateEndpoint": {"EndpointName": "e", "EndpointConfigName": "nobody", "Tags": [{"Key": "a", "Value": "b"}]},
    "UpdateEndpoint": {
        "EndpointName": "served",
        "EndpointConfigName": "taken",
        "RetainAllVariantProperties": True,
        "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}],
        "DeploymentConfig": {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": TRAFFIC}},
    },
    "UpdateEndpointWeightsAndCapacities": {
        "EndpointName": "served",
        "DesiredWeightsAndCapacities": [
            {"VariantName": "main", "DesiredWeight": 1.0, "ServerlessUpdateConfig": {"MaxConcurrency": 1}}
        ],
    },
    "ListEndpoints": {"SortBy": "Name", "CreationTimeAfter": 0, "NameContains": "a", "StatusEquals": "Failed"},
    "AddTags": {"ResourceArn": "arn:aws:sagemaker:us-east-1:000000000000:model/contract-model",
                "Tags": [{"Key": "a", "Value": "b"}]},
}  # fmt: skip
WILD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.just(1e39),
    st.text(max_size=70), st.sampled_from(["", "s3://", "s3://b", "__time__", "..", "/", "-", "a" * 64]),
    st.lists(st.none(), max_size=2), st.just({}), st.just({"__time__": "x"}), st.just([{}]),
)  # fmt: skip


@st.composite
def broken(draw: st.DrawFn) -> tuple[str, Any]:
    """A sound request with one member, at any depth, replaced, removed or added."""
    operation = draw(st.sampled_from(sorted(SOUND)))
    request = copy.deepcopy(SOUND[operation])
    place: Any = request
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from([*keys, "NoSuchMember"])) if isinstance(place, dict) else draw(st.sampled_from(keys))
        inner = place.get(key) if isinstance(place, dict) else place[key]
        if isinstance(inner, dict | list) and inner and draw(st.booleans()):
            place = inner
            continue
        place[key] = draw(WILD)
        return operation, request


@settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(case=broken())
def test_no_broken_request_makes_a_server_error(sagemaker: SageMaker, case: tuple[str, Any]) -> None:
    operation, request = case
    status, document = post(sagemaker, operation, json.dumps(request).encode())
    assert status in (200, 400), document
    for listing in ("ListModels", "ListEndpointConfigs", "ListEndpoints"):
        assert post(sagemaker, listing, b"{}")[0] == 200
    if status == 200 and operation.startswith("Create"):
        kind = operation.removeprefix("Create")
        name = {f"{kind}Name": request[f"{kind}Name"]}
        assert post(sagemaker, f"Describe{kind}", json.dumps(name).encode())[0] == 200
        assert post(sagemaker, f"Delete{kind}", json.dumps(name).encode())[0] == 200
