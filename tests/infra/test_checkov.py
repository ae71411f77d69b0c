"""checkov: what it finds is either repaired or an exception with a reason, a link and a need."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from checks import checkov


def _finding(check: str, place: str) -> dict[str, Any]:
    environment, resource = place.split("/", 1)
    return {
        "check_id": check,
        "check_name": "Ensure it is good",
        "file_path": f"/{environment}/stack-1.template.json",
        "resource": resource,
    }


def _allowed(check: str, *resources: str) -> checkov.Allowed:
    return checkov.Allowed(
        check=check, resources=resources, reason="because it is meant so", link="https://example.com"
    )


def test_each_exception_has_a_reason_and_a_link() -> None:
    assert {item.check for item in checkov.load_exceptions()} >= {"CKV_AWS_117"}


@pytest.mark.parametrize("missing", ["reason", "link", "resources"])
def test_an_exception_without_one_of_them_is_refused(tmp_path: Path, missing: str) -> None:
    entry = {
        "check": "CKV_AWS_1",
        "resources": ["*"],
        "reason": "because it is meant so",
        "link": "https://example.com",
    }
    (tmp_path / "a.yaml").write_text(json.dumps([{key: value for key, value in entry.items() if key != missing}]))
    with pytest.raises(ValidationError, match=missing):
        checkov.load_exceptions(tmp_path / "a.yaml")


def test_an_exception_covers_its_own_check_and_its_own_resources_only() -> None:
    found = [_finding("CKV_AWS_1", "dev/AWS::S3::Bucket.Logs1"), _finding("CKV_AWS_1", "prod/AWS::S3::Bucket.Logs1")]
    assert list(checkov.faults(found, [_allowed("CKV_AWS_1", "*/AWS::S3::Bucket.Logs*")])) == []
    assert list(checkov.faults(found, [_allowed("CKV_AWS_1", "dev/*")])) == [
        "CKV_AWS_1 prod/AWS::S3::Bucket.Logs1: Ensure it is good"
    ]
    assert "CKV_AWS_1 dev/AWS::S3::Bucket.Logs1: Ensure it is good" in checkov.faults(found, [])


def test_an_exception_that_nothing_needs_is_a_fault() -> None:
    found = [_finding("CKV_AWS_1", "dev/AWS::S3::Bucket.Logs1")]
    exceptions = [_allowed("CKV_AWS_1", "dev/*", "prod/*"), _allowed("CKV_AWS_2", "*")]
    assert list(checkov.faults(found, exceptions)) == [
        "checkov.yaml: nothing needs the exception CKV_AWS_1 for prod/*",
        "checkov.yaml: nothing needs the exception CKV_AWS_2 for *",
    ]


def test_checkov_judges_templates_without_network_and_reads_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = subprocess.run

    def spy(command: list[str], **kwargs: Any) -> Any:
        asked.append(kwargs["env"].get("HTTPS_PROXY", ""))
        return original(command, **kwargs)

    (tmp_path / "dev").mkdir()
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"AccessControl": "PublicRead"}}
    (tmp_path / "dev" / "stack-1.template.json").write_text(json.dumps({"Resources": {"Open": bucket}}))
    monkeypatch.setattr(subprocess, "run", spy)
    failed = checkov.scan(tmp_path)["results"]["failed_checks"]
    assert asked[-1] == checkov.NOWHERE
    assert "CKV_AWS_20 dev/AWS::S3::Bucket.Open" in "\n".join(checkov.faults(failed, []))
