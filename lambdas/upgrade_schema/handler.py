"""Behind a CloudFormation resource: the tracking database's schema, as the new server's version wants it."""

from __future__ import annotations

from passerelle.aws.custom_resource import Made, Resource, custom_resource
from passerelle.settings import UpgradeSchemaSettings
from passerelle.steps.upgrade_schema import upgrade_schema


@custom_resource("upgrade_schema", UpgradeSchemaSettings)
def handler(resource: Resource, settings: UpgradeSchemaSettings) -> Made:
    """Call the step."""
    return upgrade_schema(resource)
