"""What the server would rather have of a batch transform job."""

from __future__ import annotations

import pytest

from training.serve.settings import read_settings


@pytest.mark.parametrize(
    ("workers", "payload", "concurrent", "sent"),
    [
        ("1", "6", 1, 6),
        ("4", "6", 4, 6),
        ("64", "6", 16, 6),
        ("4", "50", 2, 50),
        ("2", "500", 1, 100),
        ("2", "0", 1, 100),
    ],
)
def test_a_transform_job_gets_a_request_a_worker_within_sagemakers_100_mb(
    workers: str, payload: str, concurrent: int, sent: int
) -> None:
    settings = read_settings({"SAGEMAKER_MODEL_SERVER_WORKERS": workers, "SAGEMAKER_MAX_PAYLOAD_IN_MB": payload})
    assert settings.execution_parameters() == {
        "MaxConcurrentTransforms": concurrent,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": sent,
    }


def test_a_payload_without_a_limit_is_taken_up_to_a_gigabyte() -> None:
    assert read_settings({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "0"}).max_bytes == 1024**3
