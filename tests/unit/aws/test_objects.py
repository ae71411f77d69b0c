"""S3's errors reach our callers under our names, and a file appears whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from urllib3.exceptions import ProtocolError

from passerelle.aws.objects import Objects
from passerelle.errors import NotFoundError, TransientError

Call = Callable[[Objects], Any]
CALLS: dict[str, tuple[str, Call]] = {
    "read": ("get_object", lambda objects: objects.read("b", "k")),
    "sha256": ("get_object", lambda objects: objects.sha256("b", "k")),
    "head": ("head_object", lambda objects: objects.head("b", "k")),
    "write": ("put_object", lambda objects: objects.write("b", "k", b"x")),
    "keys": ("list_objects_v2", lambda objects: list(objects.keys("b", "k"))),
}


@pytest.fixture
def s3() -> Iterator[tuple[Any, Stubber]]:
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    with Stubber(client) as stubber:
        yield client, stubber


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("code", "status", "error"),
    [("SlowDown", 503, TransientError), ("503", 503, TransientError), ("NoSuchBucket", 404, NotFoundError)],
)
def test_an_error_of_s3_has_our_name(s3: Any, name: str, code: str, status: int, error: type[Exception]) -> None:
    client, stubber = s3
    operation, call = CALLS[name]
    stubber.add_client_error(operation, service_error_code=code, http_status_code=status)
    with pytest.raises(error, match="s3://b/k"):
        call(Objects(client))


class _Broken(io.BytesIO):
    def read(self, *_: Any, **__: Any) -> bytes:
        raise ProtocolError("Connection broken", ConnectionResetError("reset"))


def test_a_download_that_breaks_off_leaves_the_file_that_was_there(s3: Any, tmp_path: Path) -> None:
    client, stubber = s3
    path = tmp_path / "file"
    path.write_text("before")
    stubber.add_response("get_object", {"Body": StreamingBody(_Broken(), 10)})
    with pytest.raises(TransientError, match="does not answer"):
        Objects(client).download("b", "k", path)
    assert path.read_text() == "before"
