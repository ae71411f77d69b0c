"""Templates as people write them: functions, conditions, nested stacks, and what is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from passerelle.domain.cost.estimate.engine import estimate
from passerelle.domain.cost.estimate.parts import Estimate, Item
from passerelle.domain.cost.estimate.stacks import Stack
from passerelle.domain.cost.estimate.template import read_template
from passerelle.domain.cost.estimate.usage import read_usage
from passerelle.errors import InputError

YAML = """
AWSTemplateFormatVersion: 2010-09-09
Parameters:
  Size: {Type: String, Default: small}
  Stage: {Type: String, Default: dev}
  Image: {Type: "AWS::SSM::Parameter::Value<String>", Default: /image}
Mappings:
  Sizes: {small: {class: db.t4g.micro}, large: {class: db.t4g.large}}
Conditions:
  Production: !Equals [!Ref Stage, prod]
  Other: !Not [!Condition Production]
Resources:
  Database:
    Type: AWS::RDS::DBInstance
    Properties:
      Engine: postgres
      DBInstanceClass: !FindInMap [Sizes, !Ref Size, class]
      MultiAZ: !If [Production, true, !Ref "AWS::NoValue"]
      AllocatedStorage: !Select [1, !Split ["-", "a-20"]]
      StorageType: gp3
  Gateway:
    Type: AWS::EC2::NatGateway
    Condition: Production
  Endpoint:
    Type: AWS::EC2::VPCEndpoint
    Condition: Other
    Properties:
      VpcEndpointType: Interface
      ServiceName: !Sub com.amazonaws.${AWS::Region}.logs
      SubnetIds: [!Ref A, !ImportValue b]
"""


def of(template: dict[str, Any], region: str = "us-east-1", **options: Any) -> Estimate:
    return estimate([Stack(name="s", template=template, **options)], region=region)


def item(found: Estimate, name: str) -> Item:
    (one,) = [item for item in found.items if item.name == name]
    return one


def one(type_: str, region: str = "us-east-1", **properties: Any) -> Item:
    return of({"Resources": {"R": {"Type": type_, "Properties": properties}, "F": FUNCTION}}, region).items[0]


FUNCTION = {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 1024}}


def test_short_forms_parameters_maps_and_conditions_are_followed() -> None:
    found = of(dict(read_template(YAML, source="t.yaml")))
    assert item(found, "Database").usd() == pytest.approx(730 * 0.016 + 20 * 0.115)
    assert item(found, "Endpoint").usd(usage=False) == pytest.approx(2 * 7.30)
    assert [item.name for item in found.items] == ["Database", "Endpoint"]


def test_a_parameter_that_is_given_goes_before_its_default() -> None:
    found = of(dict(read_template(YAML, source="t.yaml")), parameters={"Stage": "prod", "Nothing": "x"})
    assert [item.name for item in found.items] == ["Database", "Gateway"]
    assert "no price of RDS PostgreSQL db.t4g.micro Multi-AZ" in item(found, "Database").unknowns[0]
    assert any("no parameter Nothing" in problem for problem in found.problems)


@pytest.mark.parametrize(
    ("type_", "region", "properties", "words"),
    [
        ("AWS::EC2::Instance", "us-east-1", {"InstanceType": "m5.none"}, "no price of EC2"),
        ("AWS::EC2::Instance", "us-east-1", {"InstanceType": {"Ref": "Typo"}}, "Ref Typo"),
        ("AWS::RDS::DBInstance", "us-east-1", {"Engine": "postgres"}, "DBInstanceClass is missing"),
        ("AWS::Kinesis::Stream", "us-east-1", {"ShardCount": -3}, "-3 is no quantity"),
        ("AWS::SageMaker::NotebookInstance", "eu-west-3", {"InstanceType": "ml.g5.xlarge"}, "not offered in eu-west-3"),
        ("AWS::SageMaker::NotebookInstance", "eu-west-1", {"InstanceType": "ml.g6.xlarge"}, "not offered in eu-west-1"),
        ("AWS::SageMaker::MlflowTrackingServer", "us-east-1", {}, "no price of SageMaker managed MLflow"),
        ("AWS::ECS::Service", "us-east-1", {"LaunchType": "FARGATE", "TaskDefinition": "arn:x"}, "TaskDefinition"),
    ],
)
def test_what_cannot_be_priced_says_why_and_the_rest_is_priced(
    type_: str, region: str, properties: dict[str, Any], words: str
) -> None:
    template = {"Resources": {"R": {"Type": type_, "Properties": properties}, "K": {"Type": "AWS::EC2::EIP"}}}
    found = of(template, region)
    assert item(found, "R").status == "unpriced"
    assert words in " ".join(item(found, "R").unknowns)
    assert item(found, "R").usd() == 0
    assert item(found, "K").usd(usage=False) > 0
    assert not found.complete


def test_a_type_that_nobody_knows_is_listed_and_a_free_one_is_free() -> None:
    assert one("AWS::Quantum::Computer").status == "unsupported"
    assert one("AWS::IAM::Role").status == "free"
    assert one("Custom::Thing").status == "free"


def test_a_region_without_any_price_is_said_with_those_that_have() -> None:
    found = of({"Resources": {"K": {"Type": "AWS::KMS::Key"}}}, "mars-north-1")
    assert found.usd == 0
    assert any("mars-north-1" in problem and "us-east-1" in problem for problem in found.problems)


def test_a_nested_stack_is_part_of_the_estimate_and_takes_its_parameters() -> None:
    child = {
        "Parameters": {"Class": {"Type": "String"}},
        "Resources": {
            "D": {
                "Type": "AWS::RDS::DBInstance",
                "Properties": {"Engine": "postgres", "DBInstanceClass": {"Ref": "Class"}},
            }
        },
    }
    parent = {
        "Resources": {
            "Inside": {
                "Type": "AWS::CloudFormation::Stack",
                "Properties": {"TemplateURL": "child.json", "Parameters": {"Class": "db.t4g.micro"}},
            },
            "Lost": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "https://elsewhere"}},
        }
    }

    def beside(name: str) -> Stack | None:
        return Stack(name="child", template=child, nested=beside) if name == "child.json" else None

    found = of(parent, nested=beside)
    assert [(item.address, round(item.usd(), 2)) for item in found.items] == [("s/Inside/D", 11.68)]
    assert any("s/Lost" in problem for problem in found.problems)


def test_a_stack_that_contains_itself_ends() -> None:
    template = {"Resources": {"S": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "self"}}}}

    def itself(name: str) -> Stack:
        return Stack(name=name, template=template, nested=itself)

    assert of(template, nested=itself).problems


def test_conditions_that_go_in_a_circle_end_and_are_said() -> None:
    circle = {"A": {"Fn::Not": [{"Condition": "B"}]}, "B": {"Condition": "A"}}
    found = of({"Conditions": circle, "Resources": {"K": {"Type": "AWS::KMS::Key", "Condition": "A"}}})
    assert item(found, "K").usd() > 0
    assert any("circle" in problem for problem in found.problems)


def test_exports_of_one_stack_are_imports_of_another() -> None:
    giver = {
        "Resources": {"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Cpu": "1 vCPU", "Memory": "2GB"}}},
        "Outputs": {"T": {"Value": {"Ref": "Task"}, "Export": {"Name": "task"}}},
    }
    taker = {
        "Resources": {
            "Server": {
                "Type": "AWS::ECS::Service",
                "Properties": {"LaunchType": "FARGATE", "TaskDefinition": {"Fn::ImportValue": "task"}},
            }
        }
    }
    found = estimate([Stack(name="a", template=giver), Stack(name="b", template=taker)], region="us-east-1")
    assert item(found, "Server").usd() == pytest.approx(730 * (0.04048 + 2 * 0.004445))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "t:1: this is not JSON"),
        ("a: [", "t is not YAML"),
        ("- a", "Resources"),
        ("{}", "Resources"),
        ("Resources: []", "Resources"),
    ],
)
def test_a_malformed_template_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_template(text, source="t")


def test_resources_that_are_none_are_left_out_and_said() -> None:
    found = of({"Resources": {"A": None, "B": {"Type": 3}, "C": {"Type": "AWS::KMS::Key", "Properties": []}}})
    assert [item.name for item in found.items] == ["C"]
    assert len(found.problems) == 2


def test_spot_has_a_range_and_schedules_shorten_the_month() -> None:
    found = of(dict(json.loads(json.dumps(SCHEDULED))))
    server = item(found, "Server")
    assert server.components[0].quantity == pytest.approx(730 * 5 * 13 / 168)
    low, high = found.range_usd
    assert low == pytest.approx(0.3 * high)


SCHEDULED = {
    "Resources": {
        "Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Cpu": "1024", "Memory": "2048"}},
        "Server": {
            "Type": "AWS::ECS::Service",
            "Properties": {
                "CapacityProviderStrategy": [{"CapacityProvider": "FARGATE_SPOT"}],
                "TaskDefinition": {"Ref": "Task"},
            },
        },
        **{
            f"Turn{count}": {
                "Type": "AWS::Scheduler::Schedule",
                "Properties": {
                    "ScheduleExpression": f"cron(0 {hour} ? * MON-FRI *)",
                    "Target": {
                        "Arn": "arn:aws:scheduler:::aws-sdk:ecs:updateService",
                        "Input": {"Fn::Sub": f'{{"Service": "${{Server.Name}}", "DesiredCount": {count}}}'},
                    },
                },
            }
            for hour, count in ((7, 1), (20, 0))
        },
    }
}


def test_usage_is_by_type_then_by_pattern_then_by_name() -> None:
    usage = read_usage(
        "resource_type_default_usage:\n  AWS::Lambda::Function: {request_duration_ms: 1000}\n"
        'resource_usage:\n  "s/F*": {monthly_requests: 1000000}\n  F2: {monthly_requests: 2000000}\n'
        "  nobody: {monthly_requests: 1}\n",
        source="u.yaml",
    )
    stack = Stack(name="s", template={"Resources": {"F1": FUNCTION, "F2": FUNCTION}})
    found = estimate([stack], region="us-east-1", usage=usage)
    million = 1e6 * 1.66667e-5 + 0.20
    assert [item.usd() for item in found.items] == pytest.approx([million, 2 * million])
    assert any("nobody" in problem for problem in found.problems)
    assert not any("10,000 calls" in line and "200 mill" in line for line in found.assumptions)


@pytest.mark.parametrize("value", ["-5", "many", ".nan", "true"])
def test_a_usage_that_is_no_quantity_is_said_of_its_resource_and_the_rest_is_priced(value: str) -> None:
    usage = read_usage(f"resource_usage:\n  F1: {{monthly_requests: {value}}}\n", source="u.yaml")
    stack = Stack(name="s", template={"Resources": {"F1": FUNCTION, "F2": FUNCTION}})
    first, second = estimate([stack], region="us-east-1", usage=usage).items
    assert "monthly_requests" in first.unknowns[0]
    assert second.usd() > 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("currency: EUR", "nothing is converted"),
        ("resource_type_default_usage: {AWS::S3::Bucket: {gigabytes: 1}}", "storage_gb"),
        ("resource_use: {}", "resource_use"),
    ],
)
def test_what_a_usage_file_says_in_vain_is_told(text: str, words: str) -> None:
    (problem,) = read_usage(text, source="u.yaml").problems
    assert words in problem


@pytest.mark.parametrize("text", ["[", "- a", "resource_usage: [a]", "resource_usage: {a: 3}"])
def test_a_usage_file_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"u\.yaml"):
        read_usage(text, source="u.yaml")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["Ref", "Fn::If", "Fn::Join", "Fn::Sub", "Fn::Select", "Fn::Split", "Fn::GetAtt",
        "Fn::Equals", "Fn::FindInMap", "Fn::And", "Fn::Not", "Fn::Or", "Fn::ImportValue", "Condition", "a"]), inner, max_size=2),
    max_leaves=8,
)  # fmt: skip
TYPES = st.sampled_from(
    ["AWS::Lambda::Function", "AWS::ECS::Service", "AWS::RDS::DBInstance", "AWS::SageMaker::Endpoint", "AWS::EC2::Instance"]
)  # fmt: skip
NAMES = st.sampled_from(
    ["MemorySize", "Architectures", "TaskDefinition", "DesiredCount", "DBInstanceClass", "Engine", "InstanceType",
     "EndpointConfigName", "BlockDeviceMappings", "CapacityProviderStrategy", "LaunchType", "Tags"]
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("AB"), st.fixed_dictionaries({"Type": TYPES, "Properties": st.dictionaries(NAMES, VALUES)})
    )
)
def test_no_template_breaks_the_estimate_and_no_cost_is_below_zero(resources: dict[str, Any]) -> None:
    found = of({"Resources": resources})
    assert len(found.items) == len(resources)
    assert found.usd >= 0
