"""What a caller of the local SageMaker must be allowed, beside the operation itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from laptop.ministack.sagemaker_permissions import permissions
from laptop.settings import LaptopSettings
from tests.contract import sagemaker_requests as make

KEY = "arn:aws:kms:us-east-1:000000000000:key/1"
GRANT = ("kms:CreateGrant", KEY)


@pytest.mark.parametrize(
    ("operation", "request_", "grants"),
    [
        ("CreateTransformJob", make.transform("x", TransformResources__VolumeKmsKeyId=KEY), True),
        ("CreateTransformJob", make.transform("x"), False),
        ("CreateEndpointConfig", make.endpoint_config("c", KmsKeyId=KEY), True),
        ("CreateEndpointConfig", make.endpoint_config("c"), False),
    ],
)
def test_who_has_a_volume_encrypted_grants_its_key(
    tmp_path: Path, operation: str, request_: dict[str, Any], grants: bool
) -> None:
    found = list(permissions(LaptopSettings(home=tmp_path), operation, request_))
    assert found[0].action == f"sagemaker:{operation}"
    assert (GRANT in [(each.action, each.resource) for each in found]) == grants
