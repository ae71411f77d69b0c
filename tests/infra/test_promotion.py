"""Who may read an environment's models, and with what: as the templates have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("infra")
Find = Callable[[str, str], dict[str, dict[str, Any]]]


def _roles(resources: Find, environment: str) -> dict[str, dict[str, Any]]:
    return {
        str(role["Properties"].get("RoleName")): role["Properties"]
        for role in resources(environment, "AWS::IAM::Role").values()
    }


def test_staging_lends_its_models_to_the_one_function_of_prod_and_prod_lends_none(resources: Find) -> None:
    role = _roles(resources, "staging")["passerelle-staging-models-for-prod"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": "arn:aws:iam::333333333333:root"}
    importer = "arn:aws:iam::333333333333:role/passerelle-prod-import-run"
    assert trust["Condition"] == {"ArnEquals": {"aws:PrincipalArn": importer}}
    for environment in ("prod", "dev", "laptop"):
        assert not any("-models-for-" in name for name in _roles(resources, environment))


def test_the_role_that_staging_trusts_is_the_one_that_imports_and_lambda_alone_takes_it_on(resources: Find) -> None:
    role = _roles(resources, "prod")["passerelle-prod-import-run"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
    functions = resources("prod", "AWS::Lambda::Function").values()
    (function,) = [item["Properties"] for item in functions if "import_run" in item["Properties"]["Handler"]]
    variables = function["Environment"]["Variables"]
    assert variables["PASSERELLE_SOURCE_ACCOUNT"] == "222222222222"
    assert variables["PASSERELLE_SOURCE_ENVIRONMENT"] == "staging"


def test_no_bucket_key_or_repository_of_staging_is_opened_to_another_account(resources: Find) -> None:
    for type_ in ("AWS::S3::BucketPolicy", "AWS::KMS::Key", "AWS::ECR::Repository"):
        for name, resource in resources("staging", type_).items():
            assert "333333333333" not in str(resource), name


def test_carried_images_stay_as_long_as_a_model_may_be_served_by_them(resources: Find) -> None:
    repositories = [item["Properties"] for item in resources("prod", "AWS::ECR::Repository").values()]
    (carried,) = [item for item in repositories if item["RepositoryName"] == "passerelle-prod-carried"]
    assert "LifecyclePolicy" not in carried
    assert carried["ImageTagMutability"] == "IMMUTABLE"
    assert carried["EncryptionConfiguration"]["EncryptionType"] == "KMS"


def test_only_a_job_of_the_environment_that_takes_models_may_start_carrying_one(resources: Find) -> None:
    role = _roles(resources, "prod")["passerelle-prod-github-carry"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    subject = trust["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
    assert subject == ["repo:example/passerelle:environment:prod"]
    for environment in ("staging", "dev"):
        assert f"passerelle-{environment}-github-carry" not in _roles(resources, environment)
