"""The tracking database made from a snapshot: what CloudFormation takes beside it, and what it would refuse."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aws_cdk import App, Stack, aws_ec2, aws_kms, aws_sns
from aws_cdk.assertions import Template
from pydantic import ValidationError

from infra.checks import acknowledgements
from infra.checks_nist import nist_acknowledgements
from infra.config import PlatformConfig, load_config
from infra.config_parts import Tracking
from infra.constructs import tracking_database as subject

ARN = "arn:aws:rds:us-east-1:333333333333:snapshot:passerelle-dev-b20261121120925"
#: CloudFormation reference, AWS::RDS::DBInstance, DBSnapshotIdentifier: not to be said beside it.
INHERITED = {"DBName", "MasterUsername", "StorageEncrypted", "KmsKeyId"}


def _config(snapshot: str | None) -> PlatformConfig:
    config = load_config("dev")
    assert config.tracking
    tracking = Tracking.model_validate(config.tracking.model_dump() | {"restore_from_snapshot": snapshot})
    return config.model_copy(update={"tracking": tracking})


def _properties(snapshot: str | None) -> tuple[set[str], dict[str, Any]]:
    """Return the logical ids and the properties of the database in a stack of its own."""
    config = _config(snapshot)
    stack = Stack(App(), "Tracking")
    isolated = aws_ec2.SubnetConfiguration(name="isolated", subnet_type=aws_ec2.SubnetType.PRIVATE_ISOLATED)
    vpc = aws_ec2.Vpc(stack, "Vpc", nat_gateways=0, subnet_configuration=[isolated])
    network = SimpleNamespace(vpc=vpc, database=aws_ec2.SecurityGroup(stack, "Group", vpc=vpc))
    arguments = {"config": config, "tracking": config.tracking, "network": network}
    key, alerts = aws_kms.Key(stack, "Key"), aws_sns.Topic(stack, "Alerts")
    subject.TrackingDatabase(stack, "Database", **arguments, key=key, alerts=alerts)  # type: ignore[arg-type]
    found = Template.from_stack(stack).find_resources("AWS::RDS::DBInstance")
    ((logical, resource),) = found.items()
    return {logical}, resource["Properties"]


@pytest.fixture
def _without_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject.TrackingDatabase, "_alarms", lambda self, alerts: None)


@pytest.mark.usefixtures("_without_alarms")
def test_a_database_from_a_snapshot_takes_user_name_and_encryption_from_there_and_all_else_from_here() -> None:
    (fresh_id, fresh), (restored_id, restored) = _properties(None), _properties(ARN)
    assert fresh_id == restored_id
    assert restored["DBSnapshotIdentifier"] == ARN
    assert not INHERITED & set(restored)
    assert set(fresh) >= INHERITED
    same = set(fresh) - INHERITED
    assert {name: restored[name] for name in same} == {name: fresh[name] for name in same}
    assert restored["ManageMasterUserPassword"] is True


def test_encryption_that_the_template_may_not_say_is_acknowledged_only_there() -> None:
    def rules(snapshot: str | None) -> set[str]:
        config = _config(snapshot)
        return {item.id for item in (*acknowledgements(config), *nist_acknowledgements(config))}

    added = rules(ARN) - rules(None)
    assert {item.rpartition("-")[2] for item in added} == {"RDS2", "RDSStorageEncrypted"}


@pytest.mark.parametrize("snapshot", [ARN, "passerelle-dev-b20261121120925", "rds:passerelle-2026-11-21-02-05"])
def test_a_snapshot_is_named_by_its_name_or_arn(snapshot: str) -> None:
    config = _config(snapshot)
    assert config.tracking
    assert config.tracking.restore_from_snapshot == snapshot


@pytest.mark.parametrize(
    "snapshot", ["", "two words", "ends-", "double--hyphen", "1st", ARN.replace("snapshot", "db"), "a" * 256]
)
def test_what_names_no_snapshot_is_refused_with_how_to_find_one(snapshot: str) -> None:
    with pytest.raises(ValidationError, match="describe-db-snapshots"):
        _config(snapshot)
