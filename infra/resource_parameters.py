"""Where things are: the command line and other tools find deployed resources by these parameters."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import aws_ssm
from constructs import Construct

from passerelle.contracts import naming


def publish_resources(scope: Construct, environment: str, found: Mapping[str, str]) -> None:
    """Write one parameter per resource: name -> identifier."""
    place = Construct(scope, "Resources")
    for name, value in found.items():
        parameter = naming.resource_parameter(environment, name)
        aws_ssm.StringParameter(place, name, parameter_name=parameter, string_value=value)
