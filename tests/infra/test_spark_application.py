"""EMR Serverless: there where the environment says so, without idle cost, bounded, in the jobs' network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.base_image import SPARK_PIN
from infra.constructs.spark_application import RELEASE

pytestmark = pytest.mark.xdist_group("infra")
Find = Callable[[str, str], dict[str, dict[str, Any]]]


def _application(resources: Find) -> dict[str, Any]:
    (found,) = resources("staging", "AWS::EMRServerless::Application").values()
    properties: dict[str, Any] = found["Properties"]
    return properties


@pytest.mark.parametrize("environment", ["laptop", "dev", "prod"])
def test_an_environment_that_does_not_ask_for_spark_has_nothing_of_it(
    synthesised: Callable[[str], Path], environment: str
) -> None:
    for path in synthesised(environment).glob("*.template.json"):
        resources = json.loads(path.read_text())["Resources"]
        granted = json.dumps([item for item in resources.values() if item["Type"] == "AWS::IAM::Policy"])
        assert "emr-serverless" not in granted, path
        assert not any(item["Type"].startswith("AWS::EMRServerless") for item in resources.values()), path


def test_an_idle_application_has_no_workers_and_one_at_work_has_a_bound(resources: Find) -> None:
    found = _application(resources)
    assert "InitialCapacity" not in found
    assert found["AutoStartConfiguration"] == {"Enabled": True}
    assert found["AutoStopConfiguration"] == {"Enabled": True, "IdleTimeoutMinutes": 5}
    assert found["MaximumCapacity"] == {"Cpu": "16 vCPU", "Memory": "112 GB", "Disk": "800 GB"}


def test_the_application_is_of_the_release_that_its_image_is_built_on(resources: Find) -> None:
    found = _application(resources)
    assert found["ReleaseLabel"] == RELEASE
    assert yaml.safe_load(SPARK_PIN.read_text())["name"].rpartition("/")[2] == RELEASE
    assert found["Architecture"] == "X86_64"
    repositories = resources("staging", "AWS::ECR::Repository").values()
    (spark,) = (item for item in repositories if item["Properties"]["RepositoryName"] == "passerelle-staging-spark")
    (statement,) = spark["Properties"]["RepositoryPolicyText"]["Statement"]
    assert statement["Principal"] == {"Service": "emr-serverless.amazonaws.com"}
    assert set(statement["Condition"]) == {"ArnLike"}


def test_its_workers_are_where_the_jobs_are_and_its_tags_tell_whose_it_is(resources: Find) -> None:
    found = _application(resources)
    functions = resources("staging", "AWS::Lambda::Function").values()
    (gather,) = (item for item in functions if "gather_drop" in item["Properties"]["Handler"])
    vpc = json.dumps(gather["Properties"]["Environment"]["Variables"]["PASSERELLE_VPC"])
    network = found["NetworkConfiguration"]
    names = [item["Fn::ImportValue"] for item in (*network["SubnetIds"], *network["SecurityGroupIds"])]
    assert len(network["SubnetIds"]) > 1
    assert all(name in vpc for name in names)
    assert {tag["Key"] for tag in found["Tags"]} >= {"passerelle:environment"}


def test_only_emr_serverless_of_this_account_takes_the_role_of_the_jobs(resources: Find) -> None:
    roles = resources("staging", "AWS::IAM::Role").values()
    trusts = [item["Properties"]["AssumeRolePolicyDocument"]["Statement"][0] for item in roles]
    (trust,) = (item for item in trusts if "emr-serverless" in json.dumps(item["Principal"]))
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "222222222222"}
    assert trust["Condition"]["ArnLike"]["aws:SourceArn"].endswith(":222222222222:/applications/*")
