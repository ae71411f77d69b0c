"""What matters in the synthesised templates of every environment. cdk-nag runs within each synthesis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Find = Callable[[str, str], dict[str, dict[str, Any]]]
Synthesised = Callable[[str], Path]

#: Renaming one of these replaces the resource, and its data with it.
STATEFUL = {
    "AWS::S3::Bucket": {
        "AccessLogs8B620ECA", "CuratedBucket90F6C1E7", "ModelsBucket970C6ADA", "PredictionsBucketDFE03166",
        "QuarantineBucket2B128B57", "QueriesResultsBucketB2C5D90C", "RawBucket672A0DBB", "ReportsBucket95FE29A2",
    },
    "AWS::DynamoDB::Table": {"RunsE45A2291"},
    "AWS::KMS::Key": {"Key961B73FD"},
}  # fmt: skip
#: On AWS only.
STATEFUL_ON_AWS = {
    "AWS::RDS::DBInstance": {"DatabaseInstance02E622FB"},
    "AWS::ECR::Repository": {"TrainingRepository238146D5", "TrackingRepository00C59AC5", "Carried7DB14487"},
    "AWS::SecretsManager::Secret": {"AdminPassword4DD767F0", "PipelinePassword9879D815", "SessionKey0FE01E29"},
}


@pytest.mark.parametrize("environment", ["laptop", "prod"])
def test_logical_ids_of_what_holds_data_never_change(resources: Find, environment: str) -> None:
    for type_, expected in {**STATEFUL, **(STATEFUL_ON_AWS if environment == "prod" else {})}.items():
        assert {name.split("/")[1] for name in resources(environment, type_)} == expected


def test_roles_are_passed_to_sagemaker_and_tasks_and_to_nobody_else(resources: Find) -> None:
    for name, policy in resources("prod", "AWS::IAM::Policy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert "*" not in actions, name
            if "iam:PassRole" in actions:
                (service,) = statement["Condition"]["StringEquals"].values()
                assert service == ("ecs-tasks" if "UpgradeSchema" in name else "sagemaker") + ".amazonaws.com"
                assert statement["Resource"] != "*"


def test_a_functions_code_holds_the_library_and_nothing_else(synthesised: Synthesised) -> None:
    output = synthesised("prod")
    folders = [path for path in output.glob("asset.*") if (path / "lambdas" / "claim_drop").is_dir()]
    files = {path.relative_to(folders[0]).as_posix() for path in folders[0].rglob("*") if path.is_file()}
    assert "lambdas/claim_drop/handler.py" in files
    assert "passerelle/domain/cost/prices.csv" in files
    strange = {name for name in files if not name.startswith(("passerelle/", "lambdas/")) or "__pycache__" in name}
    assert strange == set()
    assert not any(name.startswith("lambdas/") and "claim_drop" not in name for name in files - {"lambdas/__init__.py"})
