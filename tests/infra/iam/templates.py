"""Synthesised templates as AWS would see them: intrinsic functions resolved, with invented but consistent names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from tests.infra.iam.needs import Account

#: Properties by which a resource is given its physical name.
_NAMES: Final = (
    "RepositoryName",
    "LogGroupName",
    "BucketName",
    "TableName",
    "FunctionName",
    "StateMachineName",
    "Name",
)
#: Type -> form of its ARN: service and rest.
_ARNS: Final = {
    "AWS::DynamoDB::Table": "dynamodb|table/{}",
    "AWS::KMS::Key": "kms|key/{}",
    "AWS::Lambda::Function": "lambda|function:{}",
    "AWS::StepFunctions::StateMachine": "states|stateMachine:{}",
    "AWS::SQS::Queue": "sqs|{}",
    "AWS::SNS::Topic": "sns|{}",
    "AWS::Logs::LogGroup": "logs|log-group:{}:*",
    "AWS::ECR::Repository": "ecr|repository/{}",
    "AWS::CodeBuild::Project": "codebuild|project/{}",
    "AWS::EMRServerless::Application": "emr-serverless|/applications/{}",
    # CloudFormation makes the name of two parts; Secrets Manager adds a third.
    "AWS::SecretsManager::Secret": "secretsmanager|secret:{}-any-any",
    "AWS::ECS::Cluster": "ecs|cluster/{}",
    "AWS::ECS::Service": "ecs|service/{}",
    "AWS::ECS::TaskDefinition": "ecs|task-definition/{}:1",
}
_FUNCTIONS: Final = (
    "Ref", "Fn::GetAtt", "Fn::GetStackOutput", "Fn::ImportValue", "Fn::Join", "Fn::Select", "Fn::Split", "Fn::Sub",
)  # fmt: skip
#: Types of which `Ref` gives the ARN.
_REF_IS_ARN: Final = (
    "AWS::StepFunctions::StateMachine", "AWS::SNS::Topic", "AWS::SecretsManager::Secret", "AWS::ECS::Service",
    "AWS::ECS::TaskDefinition",
)  # fmt: skip


@dataclass(frozen=True)
class Resource:
    """One resource, its properties resolved."""

    stack: str
    logical_id: str
    type: str
    properties: Mapping[str, Any]

    @property
    def label(self) -> str:
        return f"{self.stack}/{self.logical_id}"


@dataclass(frozen=True)
class Grant:
    """One action on one resource that a role's policy allows. `where` names the statement."""

    action: str
    resource: str
    where: str


class Assembly:
    """The templates of one environment."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.account = folder, _account(folder)
        self._templates: dict[str, dict[str, Any]] = {}
        for path in sorted(folder.glob("*.template.json")):
            self._templates[path.name.split(".")[0]] = json.loads(path.read_text(encoding="utf-8"))
        if not self._templates:
            raise FileNotFoundError(f"{folder}: no templates")

    @cached_property
    def exports(self) -> dict[str, tuple[str, Any]]:
        return {
            output["Export"]["Name"]: (stack, output["Value"])
            for stack, template in self._templates.items()
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }

    @cached_property
    def resources(self) -> list[Resource]:
        return [
            Resource(stack, logical_id, resource["Type"], self.resolve(resource.get("Properties", {}), stack))
            for stack, template in self._templates.items()
            for logical_id, resource in template["Resources"].items()
        ]

    @cached_property
    def stack_names(self) -> list[str]:
        return [
            item["properties"]["stackName"]
            for item in json.loads((self._folder / "manifest.json").read_text(encoding="utf-8"))["artifacts"].values()
            if item["type"] == "aws:cloudformation:stack"
        ]

    def of_type(self, type_: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type == type_]

    # Intrinsic functions

    def resolve(self, value: Any, stack: str) -> Any:
        """Return a value without intrinsic functions."""
        if isinstance(value, list):
            return [self.resolve(item, stack) for item in value if item != {"Ref": "AWS::NoValue"}]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            method = getattr(self, f"_{name.lower().replace('::', '_')}", None)
            if name in _FUNCTIONS:
                assert method is not None, name
                return method(argument, stack)
        return {key: self.resolve(item, stack) for key, item in value.items()}

    def _ref(self, name: str, stack: str) -> str:
        pseudo = {
            "AWS::Region": self.account.region,
            "AWS::AccountId": self.account.number,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
        }
        if name in pseudo:
            return pseudo[name]
        if name in self._templates[stack].get("Parameters", {}):
            return f"{stack}.{name}"
        type_ = self._templates[stack]["Resources"][name]["Type"]
        return self._arn(name, stack) if type_ in _REF_IS_ARN else self._physical(name, stack)

    def _fn_getatt(self, argument: list[str], stack: str) -> str:
        logical_id, attribute = argument
        if attribute == "Arn":
            return self._arn(logical_id, stack)
        physical = self._physical(logical_id, stack)
        if attribute == "MasterUserSecret.SecretArn":
            return self.account.arn("secretsmanager", f"secret:rds!{physical}")
        return physical if attribute in ("Name", "QueueName", "ApplicationId") else f"{physical}.{attribute}"

    def _fn_join(self, argument: list[Any], stack: str) -> str:
        return str(argument[0]).join(str(part) for part in self.resolve(argument[1], stack))

    def _fn_importvalue(self, argument: Any, stack: str) -> Any:
        owner, value = self.exports[self.resolve(argument, stack)]
        return self.resolve(value, owner)

    def _fn_getstackoutput(self, argument: dict[str, str], stack: str) -> Any:
        owner = next(
            name for name, template in self._templates.items() if argument["OutputName"] in template.get("Outputs", {})
        )
        return self.resolve(self._templates[owner]["Outputs"][argument["OutputName"]]["Value"], owner)

    def _fn_select(self, argument: list[Any], stack: str) -> Any:
        return self.resolve(argument[1], stack)[int(argument[0])]

    def _fn_split(self, argument: list[Any], stack: str) -> list[str]:
        return str(self.resolve(argument[1], stack)).split(str(argument[0]))

    def _fn_sub(self, argument: Any, stack: str) -> str:
        return str(argument).replace("${AWS::Partition}", "aws").replace("${AWS::URLSuffix}", "amazonaws.com")

    def _physical(self, logical_id: str, stack: str) -> str:
        resource = self._templates[stack]["Resources"][logical_id]
        for name in _NAMES:
            given = resource.get("Properties", {}).get(name)
            if given is not None:
                return str(self.resolve(given, stack))
        return f"{stack}.{logical_id}"

    def _arn(self, logical_id: str, stack: str) -> str:
        type_, name = self._templates[stack]["Resources"][logical_id]["Type"], self._physical(logical_id, stack)
        if type_ == "AWS::S3::Bucket":
            return f"arn:aws:s3:::{name}"
        if type_ == "AWS::IAM::Role":
            return f"arn:aws:iam::{self.account.number}:role/{name}"
        service, _, rest = _ARNS.get(type_, f"{type_.split('::')[1].lower()}|{{}}").partition("|")
        return self.account.arn(service, rest.format(name))

    def arn_of(self, resource: Resource) -> str:
        return self._arn(resource.logical_id, resource.stack)

    def name_of(self, resource: Resource) -> str:
        return self._physical(resource.logical_id, resource.stack)

    def rds_secret_arn(self, instance: Resource) -> str:
        """Return the secret that RDS itself makes for an instance."""
        return self._fn_getatt([instance.logical_id, "MasterUserSecret.SecretArn"], instance.stack)

    # Roles

    def roles(self) -> dict[str, Resource]:
        """Return every role by its ARN."""
        return {self._arn(role.logical_id, role.stack): role for role in self.of_type("AWS::IAM::Role")}

    def grants(self, role_arn: str) -> list[Grant]:
        """Return what a role may do, one by one. Managed policies are none: the proof refuses them."""
        role = self.roles()[role_arn]
        documents = [(f"{role.label} {item['PolicyName']}", item["PolicyDocument"]) for item in _inline(role)]
        for policy in self.of_type("AWS::IAM::Policy"):
            if policy.stack == role.stack and self._physical(role.logical_id, role.stack) in policy.properties["Roles"]:
                documents.append((policy.label, policy.properties["PolicyDocument"]))
        return [grant for where, document in documents for grant in _grants(where, document)]

    def service_of(self, role: Resource) -> str:
        """Return the service that may assume a role, "" for one that people or pipelines assume."""
        principal = role.properties["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
        return str(principal.get("Service", "")) if isinstance(principal, dict) else ""


def _account(folder: Path) -> Account:
    """Return where `cdk synth` says that the stacks go."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    places = {item["environment"] for item in manifest["artifacts"].values() if "environment" in item}
    (place,) = (item.removeprefix("aws://").split("/") for item in places)
    return Account(region=place[1], number=place[0])


def _inline(role: Resource) -> list[dict[str, Any]]:
    return list(role.properties.get("Policies", []))


def _grants(where: str, document: Mapping[str, Any]) -> Iterator[Grant]:
    for number, statement in enumerate(document["Statement"]):
        assert statement["Effect"] == "Allow", f"{where}: the proof reads statements that allow"
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                yield Grant(action, resource, f"{where}, statement {number + 1}")


def as_list(value: Any) -> list[Any]:
    """Return a value that may be one or several as a list."""
    return value if isinstance(value, list) else [value]
