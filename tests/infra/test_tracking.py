"""The tracking server's templates: what keeps it safe, whole and cheap."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from passerelle.contracts import tracking

pytestmark = pytest.mark.xdist_group("infra")
Find = Callable[[str, str], dict[str, dict[str, Any]]]
ON_AWS = ("dev", "staging", "prod")


def _database(resources: Find, environment: str) -> dict[str, Any]:
    (database,) = resources(environment, "AWS::RDS::DBInstance").values()
    return database


def _container(resources: Find, environment: str, name: str) -> dict[str, Any]:
    for definition in resources(environment, "AWS::ECS::TaskDefinition").values():
        (container,) = definition["Properties"]["ContainerDefinitions"]
        if container["Name"] == name:
            return dict(container)
    raise AssertionError(name)


@pytest.mark.parametrize("environment", ON_AWS)
def test_the_database_is_private_encrypted_and_asks_for_tls(resources: Find, environment: str) -> None:
    properties = _database(resources, environment)["Properties"]
    assert properties["PubliclyAccessible"] is False
    assert properties["StorageEncrypted"] is True
    assert properties["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in properties
    (parameters,) = resources(environment, "AWS::RDS::DBParameterGroup").values()
    assert parameters["Properties"]["Parameters"]["rds.force_ssl"] == "1"
    for name in ("mlflow", "schema"):
        variables = {item["Name"]: item["Value"] for item in _container(resources, environment, name)["Environment"]}
        assert variables["PGSSLMODE"] == "verify-full"


def test_the_production_database_has_a_standby_long_backups_and_survives_its_stack(resources: Find) -> None:
    database = _database(resources, "prod")
    assert database["Properties"]["MultiAZ"] is True
    assert database["Properties"]["BackupRetentionPeriod"] == 30
    assert database["Properties"]["DeletionProtection"] is True
    assert (database["DeletionPolicy"], database["UpdateReplacePolicy"]) == ("Snapshot", "Snapshot")


@pytest.mark.parametrize("environment", ON_AWS)
def test_the_server_is_started_with_the_declared_command_users_and_hardening(resources: Find, environment: str) -> None:
    container = _container(resources, environment, "mlflow")
    words = [word if isinstance(word, str) else json.dumps(word) for word in container["Command"]]
    declared = tracking.server_command(
        artifacts_destination="-", host="0.0.0.0", port=5000, allowed_hosts="-", users=True
    )
    fixed = [word for word in declared if word != "-"]
    assert [word for word in words if word in fixed] == fixed
    assert f"mlflow.passerelle-{environment}.internal:5000" in words[-1]
    variables = {item["Name"]: item["Value"] for item in container["Environment"]}
    assert tracking.server_environment().items() <= variables.items()
    assert "health.py" in json.dumps(container["HealthCheck"]["Command"])


@pytest.mark.parametrize("environment", ON_AWS)
def test_no_secret_is_a_plain_variable_or_on_a_command_line(resources: Find, environment: str) -> None:
    for name, wanted in {
        "mlflow": {"PGPASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY", "MLFLOW_AUTH_ADMIN_PASSWORD"},
        "schema": {"PGPASSWORD", "MLFLOW_AUTH_ADMIN_PASSWORD", "PASSERELLE_PIPELINE_PASSWORD"},
    }.items():
        container = _container(resources, environment, name)
        assert {item["Name"] for item in container["Secrets"]} == wanted
        assert not wanted & {item["Name"] for item in container["Environment"]}
        assert "resolve:secretsmanager" not in json.dumps(container["Command"])


@pytest.mark.parametrize("environment", ON_AWS)
def test_the_schema_is_brought_up_to_date_before_the_server_rolls(resources: Find, environment: str) -> None:
    (upgrade,) = resources(environment, "Custom::PasserelleSchemaUpgrade")
    (service,) = resources(environment, "AWS::ECS::Service").values()
    assert upgrade.split("/")[1] in service["DependsOn"]
    properties = service["Properties"]["DeploymentConfiguration"]
    assert properties["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert properties["MinimumHealthyPercent"] == 100


@pytest.mark.parametrize("environment", ON_AWS)
def test_images_are_named_by_digest_and_their_tags_cannot_be_moved(resources: Find, environment: str) -> None:
    for name in ("mlflow", "schema"):
        assert "Uri" in json.dumps(_container(resources, environment, name)["Image"])
    for repository in resources(environment, "AWS::ECR::Repository").values():
        assert repository["Properties"]["ImageTagMutability"] == "IMMUTABLE"
        assert repository["Properties"]["ImageScanningConfiguration"] == {"ScanOnPush": True}


def test_development_sleeps_at_night_and_production_never(resources: Find) -> None:
    def schedules(environment: str) -> dict[str, str]:
        found = resources(environment, "AWS::Scheduler::Schedule").values()
        return {
            item["Properties"]["Target"]["Arn"].rpartition(":")[2] + str(index): item["Properties"][
                "ScheduleExpression"
            ]
            for index, item in enumerate(found)
            if "aws-sdk" in item["Properties"]["Target"]["Arn"]
        }

    assert sorted(schedules("dev").values()) == [
        "cron(0 18 ? * MON-FRI *)", "cron(0 8 ? * MON-FRI *)", "cron(10 18 ? * MON-FRI *)", "cron(45 7 ? * MON-FRI *)",
    ]  # fmt: skip
    assert schedules("prod") == {}


def test_every_schedule_and_rule_keeps_what_it_could_not_deliver(resources: Find) -> None:
    for schedule in resources("dev", "AWS::Scheduler::Schedule").values():
        assert "DeadLetterConfig" in schedule["Properties"]["Target"]
    for rule in resources("dev", "AWS::Events::Rule").values():
        assert all("DeadLetterConfig" in target for target in rule["Properties"]["Targets"])


@pytest.mark.parametrize("environment", ON_AWS)
def test_a_task_may_decrypt_the_secrets_that_it_is_given(resources: Find, environment: str) -> None:
    for role in ("SchemaExecutionRole", "TaskExecutionRole"):
        policies = resources(environment, "AWS::IAM::Policy")
        (policy,) = [item for name, item in policies.items() if name.split("/")[1].startswith(role)]
        assert "kms:Decrypt" in json.dumps(policy)
