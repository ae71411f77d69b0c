"""Names in an environment's configuration that AWS would refuse in mid-deploy: regions, instance types, tag values."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from passerelle.domain.project.instance_types import unknown_instance_type, unknown_region


def _region(value: str) -> str:
    if what := unknown_region(value):
        raise ValueError(what)
    return value


def _processing_instance(value: str) -> str:
    if what := unknown_instance_type(value, "processing"):
        raise ValueError(what)
    return value


def _tag_value(value: str) -> str:
    """Tag values: what all services take (tagging guide, "Tag naming limits and requirements")."""
    if not value.strip() or len(value) > 256:
        raise ValueError("becomes a tag on every resource: 1 to 256 characters")
    if bad := sorted(set(re.findall(r"[^\w\s.:/=+@-]", value))):
        raise ValueError(f"becomes a tag on every resource: AWS takes no {' '.join(bad)} in one; remove it")
    return value


Region = Annotated[str, AfterValidator(_region)]
ProcessingInstanceType = Annotated[str, AfterValidator(_processing_instance)]
TagValue = Annotated[str, AfterValidator(_tag_value)]
