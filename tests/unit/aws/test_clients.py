"""botocore's errors reach Step Functions under our names."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from passerelle.aws.clients import MISSING_CODES, QUOTA_CODES, TRANSIENT_CODES, translated
from passerelle.errors import NotFoundError, SettingsError, TransientError


def _raise(code: str) -> None:
    with translated("testing"):
        raise ClientError({"Error": {"Code": code, "Message": "m"}}, "Op")


@pytest.mark.parametrize("code", sorted(TRANSIENT_CODES))
def test_a_code_that_a_retry_may_cure_is_transient(code: str) -> None:
    with pytest.raises(TransientError, match="testing"):
        _raise(code)


@pytest.mark.parametrize("code", sorted(MISSING_CODES))
def test_a_code_for_a_missing_thing_is_not_found(code: str) -> None:
    with pytest.raises(NotFoundError):
        _raise(code)


@pytest.mark.parametrize("code", sorted(QUOTA_CODES))
def test_a_quota_is_not_tried_again_in_vain_but_told_with_its_remedy(code: str) -> None:
    with pytest.raises(SettingsError, match=r"testing: .*Service Quotas"):
        _raise(code)


def test_a_code_without_a_name_is_transient_when_its_status_says_so() -> None:
    """HEAD requests have no body, so S3's error code is the status."""
    with pytest.raises(TransientError), translated("testing"):
        raise ClientError({"Error": {"Code": "503"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "HeadObject")


def test_a_defect_of_ours_stays_what_it_is() -> None:
    with pytest.raises(ClientError):
        _raise("AccessDenied")


def test_a_server_that_is_down_is_transient() -> None:
    with pytest.raises(TransientError), translated("testing"):
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
