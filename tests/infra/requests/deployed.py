"""An environment's templates with names such as CloudFormation itself would give: what requests are made of."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from tests.infra.iam.templates import Assembly, Resource

#: Properties that give a resource its name; without one CloudFormation makes it of stack, logical id and a suffix.
_NAMED_BY: Final = {
    "AWS::RDS::DBInstance": "DBInstanceIdentifier",
    "AWS::RDS::DBSubnetGroup": "DBSubnetGroupName",
    "AWS::IAM::Role": "RoleName",
    "AWS::ECS::Cluster": "ClusterName",
    "AWS::ECS::Service": "ServiceName",
    "AWS::ECS::TaskDefinition": "Family",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SNS::Topic": "TopicName",
}
#: Longest name that CloudFormation gives, by type, and whether it is in lower case.
_LENGTHS: Final = {
    "AWS::S3::Bucket": (63, True),
    "AWS::RDS::DBInstance": (63, True),
    "AWS::IAM::Role": (64, False),
    "AWS::Lambda::Function": (64, False),
    "AWS::StepFunctions::StateMachine": (80, False),
    "AWS::SQS::Queue": (80, False),
}
#: Types whose id EC2 and KMS give.
_IDS: Final = {
    "AWS::EC2::Subnet": "subnet-",
    "AWS::EC2::SecurityGroup": "sg-",
    "AWS::EC2::VPC": "vpc-",
}
_DIGEST: Final = "sha256:" + "0123456789abcdef" * 4


class Deployed(Assembly):
    """As `Assembly`, with names that AWS's models accept."""

    def _physical(self, logical_id: str, stack: str) -> str:
        resource = self._templates[stack]["Resources"][logical_id]
        type_, properties = resource["Type"], resource.get("Properties", {})
        if type_ in _IDS:
            return _IDS[type_] + _hex(stack, logical_id)[:17]
        if type_ == "AWS::KMS::Key":
            key = _hex(stack, logical_id)
            return f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:32]}"
        if type_ == "AWS::EMRServerless::Application":
            return f"00{_hex(stack, logical_id)[:14]}"
        given = properties.get(_NAMED_BY.get(type_, ""))
        name = super()._physical(logical_id, stack) if given is None else str(self.resolve(given, stack))
        if name != f"{stack}.{logical_id}":
            return name
        longest, lower = _LENGTHS.get(type_, (128, False))
        suffix = _hex(stack, logical_id)[:12]
        room = longest - len(suffix) - 2
        name = f"{stack[: room // 2]}-{logical_id[: room - room // 2]}-{suffix if lower else suffix.upper()}"
        return name.lower() if lower else name

    def _fn_getatt(self, argument: list[str], stack: str) -> str:
        logical_id, attribute = argument
        resource = self._templates[stack]["Resources"][logical_id]
        if resource["Type"] == "Custom::PasserelleImage":
            repository = self.resolve(resource["Properties"]["Repository"], stack)
            registry = f"{self.account.number}.dkr.ecr.{self.account.region}.amazonaws.com"
            return {"Digest": _DIGEST, "Uri": f"{registry}/{repository}@{_DIGEST}"}[attribute]
        if attribute in ("GroupId", "SubnetId", "VpcId"):
            return self._physical(logical_id, stack)
        return super()._fn_getatt(argument, stack)

    def function_of(self, name_or_arn: str) -> Resource:
        """Return the function of that name or ARN."""
        for function in self.of_type("AWS::Lambda::Function"):
            if name_or_arn in (self.name_of(function), self.arn_of(function)):
                return function
        raise LookupError(f"no function {name_or_arn}")

    def handler(self, name: str) -> Resource | None:
        """Return the function of a handler in lambdas/, None where the environment has none."""
        wanted = f"lambdas.{name}.handler.handler"
        found = [item for item in self.of_type("AWS::Lambda::Function") if item.properties["Handler"] == wanted]
        return found[0] if found else None

    def environ(self, function: Resource) -> dict[str, str]:
        """Return a function's environment."""
        variables: dict[str, Any] = function.properties.get("Environment", {}).get("Variables", {})
        return {name: str(value) for name, value in variables.items()}


def _hex(stack: str, logical_id: str) -> str:
    return hashlib.sha256(f"{stack}/{logical_id}".encode()).hexdigest()
