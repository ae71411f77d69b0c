"""What jobs, models and functions of an environment run in: image, network, tracking server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_cdk import aws_iam

from infra.constructs.function import Place


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """`jobs_vpc` is SageMaker's VpcConfig, empty without a network; `tracking_settings` are those of functions that
    talk to MLflow, which run at `function_place` and may do `tracking_statements`.

    `gpu_image_uri` is for training on a GPU, "" where no project asks for one.
    """

    image_uri: str
    gpu_image_uri: str = ""
    tracking_settings: Mapping[str, str]
    jobs_vpc: dict[str, Any] = field(default_factory=dict)
    tracking_statements: Sequence[aws_iam.PolicyStatement] = ()
    function_place: Place | None = None
    #: The image of Spark's jobs, "" where the environment has no EMR Serverless.
    spark_image_uri: str = ""
    #: `images.source`: who built the image, and so from which repository jobs pull it.
    images: str = "codebuild"
