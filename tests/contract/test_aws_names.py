"""The names of instance types and regions that projects and environments are held to are AWS's own."""

from __future__ import annotations

import re

from passerelle.domain.project.instance_types import FILE, unknown_instance_type, unknown_region
from tests.contract.aws_names import aws_names, text


def test_the_kept_names_are_those_of_the_installed_botocore() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run: python -m tests.contract.aws_names"


def test_every_name_of_aws_is_taken() -> None:
    names = aws_names()
    for use in ("training", "processing", "endpoint"):
        assert len(names[use]) > 150
        assert [name for name in names[use] if unknown_instance_type(name, use)] == []  # type: ignore[arg-type]
    assert [name for name in names["regions"] if unknown_region(name)] == []


def test_a_mistyped_name_is_answered_with_the_closest() -> None:
    assert re.search("did you mean .*us-east-1", str(unknown_region("us-esat-1")))
    assert "ml.m5.large" in str(unknown_instance_type("ml.m5.lage", "processing"))
    assert "amazon.com/sagemaker/pricing" in str(unknown_instance_type("banana", "training"))


def test_a_type_that_is_for_another_use_only_is_said_to_be() -> None:
    names = aws_names()
    only_served = sorted(set(names["endpoint"]) - set(names["training"]) - set(names["processing"]))[0]
    assert "only for endpoint" in str(unknown_instance_type(only_served, "training"))
