"""A deployed project is read once, and what cannot be read is named with the remedy."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from passerelle.aws import clients
from passerelle.contracts import naming
from passerelle.errors import NotFoundError, ProjectError
from passerelle.steps.project_source import read_project

from .world import Aws


def _deploy(aws: Aws, name: str, body: bytes | None) -> None:
    key = f"{name}-{len(body or b'')}.zip"
    if body is not None:
        aws.s3.put_object(Bucket=aws.buckets["curated"], Key=key, Body=body)
    value = json.dumps({"uri": f"s3://{aws.buckets['curated']}/{key}", "hash": "h"})
    parameter = naming.project_parameter("laptop", name)
    clients.client("ssm").put_parameter(Name=parameter, Value=value, Type="String", Overwrite=True)


def _zip(name: str, text: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, text)
    return packed.getvalue()


def test_a_deployed_project_is_read_from_its_archive(aws: Aws) -> None:
    found = read_project("laptop", "flights")
    assert (found.project.name, found.uri) == ("flights", "s3://test-curated/flights.zip")


@pytest.mark.parametrize(
    "body",
    [b"", b"not a zip", _zip("other.yaml", b"x: 1"), _zip("project.yaml", b"\xff\xfe"), _zip("a", b"x" * 99)[:60]],
    ids=["empty", "no_zip", "no_project", "no_text", "cut"],
)
def test_an_archive_without_a_readable_project_is_named_with_the_remedy(aws: Aws, body: bytes) -> None:
    _deploy(aws, "broken", body)
    with pytest.raises(ProjectError, match=r"'broken' \(s3://test-curated/broken-.*Deploy again"):
        read_project("laptop", "broken")


def test_a_project_whose_archive_is_gone_is_named(aws: Aws) -> None:
    _deploy(aws, "gone", None)
    with pytest.raises(NotFoundError, match=r"s3://test-curated/gone-0\.zip is gone"):
        read_project("laptop", "gone")


def test_a_project_that_is_not_valid_says_what_is_wrong_with_it(aws: Aws) -> None:
    _deploy(aws, "invalid", _zip("project.yaml", b"name: invalid\n"))
    with pytest.raises(ProjectError, match="data"):
        read_project("laptop", "invalid")
