"""EMR Serverless: what a job run does in the name of its role."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from passerelle.settings import GatherDropSettings
from tests.infra.iam.functions import assets_bucket
from tests.infra.iam.interpreter import calls_of
from tests.infra.iam.needs import Need
from tests.infra.iam.program import Program
from tests.infra.iam.requests import handler_settings
from tests.infra.iam.templates import Assembly

ASSETS: Final = "assets"
_ANYTHING: Final = "/any"
#: What the entry and its tasks call of S3, and where: the driver's arguments and the manifest name bucket and key, so
#: the code does not. A method that is not here fails the proof.
NEEDS: Final = {
    "get_object": (
        ("s3:GetObject", "raw", _ANYTHING),
        ("s3:GetObjectVersion", "raw", _ANYTHING),
        # Without it S3 answers 403, not 404, for an object that is gone.
        ("s3:ListBucket", "raw", ""),
        ("s3:GetObject", "curated", _ANYTHING),
        ("s3:GetObject", ASSETS, _ANYTHING),
    ),
    "put_object": (("s3:PutObject", "curated", _ANYTHING), ("s3:PutObject", "quarantine", _ANYTHING)),
    "copy_object": (("s3:GetObject", "curated", _ANYTHING), ("s3:PutObject", "quarantine", _ANYTHING)),
    "delete_object": (
        ("s3:DeleteObject", "curated", "/any/datasets/any"),
        ("s3:DeleteObject", "curated", "/any/runs/any/1/staged/any"),
    ),
    "get_paginator:list_objects_v2": (("s3:ListBucket", "curated", ""),),
}


class UnknownSparkCallError(Exception):
    """The entry calls what the proof does not know."""


def spark_needs(assembly: Assembly, program: Program) -> dict[str, list[Need]]:
    """Return what the job role needs; its logs are written below the run's prefix, by the same role (user guide)."""
    if not assembly.of_type("AWS::EMRServerless::Application"):
        return {}
    settings = GatherDropSettings.from_env(handler_settings(assembly, "gather_drop"))
    buckets = {**settings.zones, ASSETS: assets_bucket(assembly)}
    return {settings.spark_role_arn: list(_needs(program, buckets))}


def _needs(program: Program, buckets: dict[str, str]) -> Iterator[Need]:
    called = {call.method for call in calls_of(program, "training.spark_main", "main")}
    if called != set(NEEDS):
        raise UnknownSparkCallError(f"training.spark_main calls {sorted(called)}; the proof knows {sorted(NEEDS)}")
    for method, needs in NEEDS.items():
        for action, zone, rest in needs:
            yield Need(action, f"arn:aws:s3:::{buckets[zone]}{rest}", f"Spark's job calls s3.{method}")
