"""Behind a CloudFormation resource: the image of a tag, built when the registry lacks it."""

from __future__ import annotations

from passerelle.aws.custom_resource import Made, Resource, custom_resource
from passerelle.settings import BuildImageSettings
from passerelle.steps.build_image import build_image


@custom_resource("build_image", BuildImageSettings)
def handler(resource: Resource, settings: BuildImageSettings) -> Made:
    """Call the step."""
    return build_image(resource)
