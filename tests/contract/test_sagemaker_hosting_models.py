"""What a model gives to its server: files from every kind of source, and an environment that cannot move the server."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.hosting import ports
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import (
    ask,
    config,
    create,
    described,
    model,
    only_variant,
    serve,
    settled,
)
from tests.contract.sagemaker_service import Own, own

__all__ = ["own"]


def source(uri: str, kind: str, compression: str, **rest: str) -> dict[str, Any]:
    return {"S3DataSource": {"S3Uri": uri, "S3DataType": kind, "CompressionType": compression, **rest}}


def files(own: Own, **container: Any) -> dict[str, str]:
    """Serve a model and return the files that its server was given, by their paths below /opt/ml."""
    changes = {f"PrimaryContainer__{key}": value for key, value in container.items()}
    own.call("CreateModel", make.model("m", **changes))
    config(own, "c", make.variant("main", ModelName="m"))
    serve(own, "c")
    return dict(json.loads(ask(own, b"files")["body"]))


def variables(own: Own) -> dict[str, str]:
    """Return the environment that the endpoint's server was started with."""
    entries = Path(f"/proc/{only_variant(own).pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


@pytest.fixture
def archive(own: Own, tmp_path: Path) -> str:
    """A .tar.gz in S3, whose key does not say so."""
    folder = tmp_path / "pack"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "weights.txt").write_text("7")
    path = shutil.make_archive(str(tmp_path / "model"), "gztar", folder)
    own.around.bucket.upload_file(path, "contract", "models/packed")
    return "s3://contract/models/packed"


def test_an_object_of_gzip_is_unpacked(own: Own, archive: str) -> None:
    assert files(own, ModelDataSource=source(archive, "S3Object", "Gzip")) == {"model/deep/weights.txt": "7"}


def test_an_uncompressed_object_keeps_its_last_name(own: Own) -> None:
    own.put("s3://contract/models/v1/weights.txt", "8")
    given = files(own, ModelDataSource=source("s3://contract/models/v1/weights.txt", "S3Object", "None"))
    assert given == {"model/weights.txt": "8"}


def test_a_prefix_keeps_the_paths_below_it_and_nothing_of_its_neighbours(own: Own) -> None:
    own.put("s3://contract/models/v1/a.txt", "a")
    own.put("s3://contract/models/v1/deep/b.txt", "b")
    own.put("s3://contract/models/v10/c.txt", "c")
    given = files(own, ModelDataSource=source("s3://contract/models/v1/", "S3Prefix", "None"))
    assert given == {"model/a.txt": "a", "model/deep/b.txt": "b"}


def test_additional_sources_have_a_folder_each_beside_the_model(own: Own, archive: str) -> None:
    own.put("s3://contract/extra/x.txt", "x")
    extra = [
        {"ChannelName": "packed", **source(archive, "S3Object", "Gzip")},
        {"ChannelName": "plain", **source("s3://contract/extra/", "S3Prefix", "None")},
    ]
    assert files(own, AdditionalModelDataSources=extra) == {
        "additional-model-data-sources/packed/deep/weights.txt": "7",
        "additional-model-data-sources/plain/x.txt": "x",
    }


@pytest.mark.parametrize(
    ("uri", "kind", "compression"),
    [
        ("s3://contract/nowhere/model.tar.gz", "S3Object", "Gzip"),
        ("s3://contract/nowhere/weights.txt", "S3Object", "None"),
        ("s3://contract/nowhere/", "S3Prefix", "None"),
        ("s3://contract/broken", "S3Object", "Gzip"),
    ],
)
def test_data_that_cannot_be_had_fails_the_endpoint_with_the_reason(
    own: Own, uri: str, kind: str, compression: str
) -> None:
    own.put("s3://contract/broken", "no archive")
    own.call("CreateModel", make.model("m", PrimaryContainer__ModelDataSource=source(uri, kind, compression)))
    config(own, "c", make.variant("main", ModelName="m"))
    create(own, "c")
    answer = settled(own)
    assert answer["EndpointStatus"] == "Failed"
    assert "sound .tar.gz" in answer["FailureReason"] or uri in answer["FailureReason"]


RULES: list[tuple[dict[str, Any], str]] = [
    ({"ModelDataUrl": "s3://b/m.tar.gz", "ModelDataSource": source("s3://b/m", "S3Object", "Gzip")}, "not both"),
    ({"ModelDataSource": {}}, "must specify one"),
    ({"ModelDataSource": source("s3://b/m/", "S3Prefix", "Gzip")}, "needs S3DataType S3Object"),
    ({"ModelDataSource": source("s3://b/m", "S3Prefix", "None")}, "forward slash"),
    ({"ModelDataSource": source("s3://b/m/", "S3Object", "None")}, "forward slash"),
    ({"ModelDataSource": source("https://b/m", "S3Object", "None")}, "s3://"),
    ({"ModelDataSource": source("s3://b/m", "S3Object", "None", ETag="e")}, "ETag"),
    ({"AdditionalModelDataSources": [{"ChannelName": "..", **source("s3://b/m", "S3Object", "None")}]}, "channel"),
    ({"AdditionalModelDataSources": [{"ChannelName": "a", **source("s3://b/m", "S3Object", "None")}] * 2}, "unique"),
    ({"Mode": "MultiModel"}, "Multi-model"),
    ({"ModelPackageName": "p"}, "Model packages"),
    ({"Environment": {f"K{n}": "x" * 1000 for n in range(33)}}, "32768"),
]


@pytest.mark.parametrize(("container", "says"), RULES, ids=[says for _, says in RULES])
def test_a_model_that_breaks_a_documented_rule_is_refused(own: Own, container: dict[str, Any], says: str) -> None:
    changes = {f"PrimaryContainer__{key}": value for key, value in container.items()}
    with pytest.raises(SageMakerError, match=says) as caught:
        own.call("CreateModel", make.model("m", **changes))
    assert caught.value.code == "ValidationException"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("AsyncInferenceConfig", {"OutputConfig": {"S3OutputPath": "s3://contract/async"}}),
        ("ExplainerConfig", {"ClarifyExplainerConfig": {"ShapConfig": {"ShapBaselineConfig": {"ShapBaseline": "1"}}}}),
    ],
)
def test_a_configuration_of_what_the_laptop_does_not_offer_is_refused(own: Own, key: str, value: Any) -> None:
    model(own, "m")
    with pytest.raises(SageMakerError, match=key):
        config(own, "c", make.variant("main", ModelName="m"), **{key: value})


def test_a_pipeline_of_several_containers_is_refused_and_a_list_of_one_is_served(own: Own) -> None:
    container = {"Image": make.IMAGE, "Environment": {"NAME": "listed"}}
    with pytest.raises(SageMakerError, match="pipelines"):
        own.call("CreateModel", make.model("m", PrimaryContainer=None, Containers=[container] * 2))
    own.call("CreateModel", make.model("m", PrimaryContainer=None, Containers=[container]))
    config(own, "c", make.variant("main", ModelName="m"))
    serve(own, "c")
    assert ask(own)["name"] == "listed"


@pytest.mark.parametrize(
    ("variants", "says"),
    [
        ([make.serverless("a"), make.serverless("b")], "exactly one variant"),
        ([make.serverless("a", InstanceType="ml.m5.large")], "exclude ServerlessConfig"),
        ([make.serverless("a"), make.variant("b")], "exactly one variant"),
    ],
)
def test_a_serverless_endpoint_has_one_variant_and_no_instances(
    own: Own, variants: list[dict[str, Any]], says: str
) -> None:
    model(own, "m")
    with pytest.raises(SageMakerError, match=says):
        config(own, "c", *(variant | {"ModelName": "m"} for variant in variants))


def test_a_serverless_variant_takes_no_model_data_source(own: Own, archive: str) -> None:
    wanted = source(archive, "S3Object", "Gzip")
    own.call("CreateModel", make.model("m", PrimaryContainer__ModelDataSource=wanted))
    with pytest.raises(SageMakerError, match="ModelDataSource is not supported for serverless"):
        config(own, "c", make.serverless("main", ModelName="m"))


def test_a_models_environment_cannot_move_its_server_or_its_folder(own: Own, tmp_path: Path) -> None:
    elsewhere = {
        "SAGEMAKER_BIND_TO_PORT": "1",
        "PASSERELLE_BIND_HOST": "0.0.0.0",
        "SAGEMAKER_BASE_DIR": str(tmp_path / "elsewhere"),
        "PASSERELLE_HOME": str(tmp_path / "elsewhere"),
        "MINE": "kept",
    }
    model(own, "m", **elsewhere)
    config(own, "c", make.variant("main", ModelName="m"))
    serve(own, "c")
    environment = variables(own)
    assert environment["SAGEMAKER_BIND_TO_PORT"] == str(only_variant(own).port)
    assert environment["PASSERELLE_BIND_HOST"] == "127.0.0.1"
    assert environment["SAGEMAKER_BASE_DIR"].startswith(str(own.settings.sagemaker_home))
    assert environment["PASSERELLE_HOME"] == str(own.settings.home)
    assert environment["MINE"] == "kept"
    assert described(own)["EndpointStatus"] == "InService"


@pytest.mark.parametrize("isolated", [True, False])
def test_a_model_in_network_isolation_has_no_credentials_and_no_way_to_aws(own: Own, isolated: bool) -> None:
    own.call("CreateModel", make.model("m", EnableNetworkIsolation=isolated))
    config(own, "c", make.variant("main", ModelName="m"))
    serve(own, "c")
    found = {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & variables(own).keys()
    assert bool(found) != isolated
    own.reopen()
    settled(own)
    assert bool({"AWS_ACCESS_KEY_ID"} & variables(own).keys()) != isolated


def test_a_port_that_one_server_was_given_is_given_to_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.free_port()
    monkeypatch.setattr(ports, "_PORTS", range(port, port + 1))
    with pytest.raises(OSError, match="no free port"):
        ports.free_port()
    ports.give_back(port)
    assert ports.free_port() == port
    ports.give_back(port)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier server may linger
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(OSError, match="no free port"):
            ports.free_port()
