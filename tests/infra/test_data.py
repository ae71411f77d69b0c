"""What holds data, in every environment: encrypted, versioned, private, kept as long as it says, deleted by nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import table_columns
from infra.config import load_config
from infra.projects import load_projects
from passerelle.contracts import naming, zones
from passerelle.contracts.zones import ZONES
from tests.infra.conftest import ENVIRONMENTS
from tests.infra.iam.templates import Assembly, Resource

pytestmark = pytest.mark.xdist_group("infra")
Find = Callable[[str, str], dict[str, dict[str, Any]]]
Synthesised = Callable[[str], Path]
#: S3 delivers access logs to a bucket with SSE-S3 only (user guide, "Enabling server access logging").
LOGS = "AccessLogs8B620ECA"
RESULTS = "QueriesResultsBucketB2C5D90C"


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _of_data(assembly: Assembly, type_: str) -> list[Resource]:
    return [item for item in assembly.of_type(type_) if "Data" in item.stack]


def _buckets(assembly: Assembly) -> dict[str, Resource]:
    return {bucket.logical_id: bucket for bucket in assembly.of_type("AWS::S3::Bucket")}


@pytest.fixture(scope="module")
def assembly(synthesised: Synthesised, environment: str) -> Assembly:
    return Assembly(synthesised(environment))


def test_there_is_one_bucket_for_each_zone_one_of_answers_and_one_of_access_logs(assembly: Assembly) -> None:
    found = {name for name in _buckets(assembly) if name not in (LOGS, RESULTS)}
    assert {name.partition("Bucket")[0].lower() for name in found} == set(ZONES)
    assert set(_buckets(assembly)) - found == {LOGS, RESULTS}


def test_every_bucket_is_encrypted_with_the_platforms_key_and_asks_kms_seldom(assembly: Assembly) -> None:
    (key,) = assembly.of_type("AWS::KMS::Key")
    assert key.properties["EnableKeyRotation"] is True
    for name, bucket in _buckets(assembly).items():
        (rule,) = bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        default = rule["ServerSideEncryptionByDefault"]
        if name == LOGS:
            assert default == {"SSEAlgorithm": "AES256"}
        else:
            assert default == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": assembly.arn_of(key)}, name
            assert rule["BucketKeyEnabled"] is True, name


def test_every_bucket_is_versioned_private_and_owned_by_the_account(assembly: Assembly) -> None:
    for name, bucket in _buckets(assembly).items():
        assert bucket.properties["VersioningConfiguration"] == {"Status": "Enabled"}, name
        assert bucket.properties["PublicAccessBlockConfiguration"] == dict.fromkeys(
            ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
        ), name
        assert bucket.properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}, name


def test_nobody_reaches_a_bucket_without_tls(assembly: Assembly) -> None:
    refused = set()
    for policy in assembly.of_type("AWS::S3::BucketPolicy"):
        bucket = f"arn:aws:s3:::{policy.properties['Bucket']}"
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Deny":
                assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
                assert (statement["Principal"], statement["Action"]) == ({"AWS": "*"}, "s3:*")
                assert set(statement["Resource"]) == {bucket, f"{bucket}/*"}
                refused.add(bucket)
    assert refused == {assembly.arn_of(bucket) for bucket in _buckets(assembly).values()}


def test_access_to_every_bucket_is_logged_and_s3_may_deliver_the_logs(assembly: Assembly) -> None:
    buckets = _buckets(assembly)
    logs, folders = buckets.pop(LOGS), set()
    for bucket in buckets.values():
        delivery = bucket.properties["LoggingConfiguration"]
        assert delivery["DestinationBucketName"] == assembly.name_of(logs)
        folders.add(delivery["LogFilePrefix"])
    assert folders == {*(f"{zone}/" for zone in ZONES), "query-results/"}
    (policy,) = [
        item
        for item in assembly.of_type("AWS::S3::BucketPolicy")
        if item.properties["Bucket"] == assembly.name_of(logs)
    ]
    delivered = [
        item
        for item in policy.properties["PolicyDocument"]["Statement"]
        if item["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    ]
    assert {item["Resource"] for item in delivered} == {f"{assembly.arn_of(logs)}/{folder}*" for folder in folders}
    for item in delivered:
        assert item["Condition"]["StringEquals"] == {"aws:SourceAccount": assembly.account.number}


def test_old_versions_and_broken_uploads_go_and_objects_as_the_environment_says(
    assembly: Assembly, environment: str
) -> None:
    data = load_config(environment).data
    expected = {name.capitalize(): (item.noncurrent_days, item.expire_days) for name, item in data.lifecycle.items()}
    expected |= {"QueriesResults": (1, data.query_results_days), "AccessLogs": (30, 365)}
    found = {}
    for name, bucket in _buckets(assembly).items():
        (rule,) = bucket.properties["LifecycleConfiguration"]["Rules"]
        assert rule["Status"] == "Enabled"
        assert "Prefix" not in rule
        assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}, name
        zone = "AccessLogs" if name == LOGS else name.partition("Bucket")[0]
        found[zone] = (rule["NoncurrentVersionExpiration"]["NoncurrentDays"], rule.get("ExpirationInDays"))
    assert found == expected


def test_what_is_to_be_kept_survives_its_stack_and_nobody_deletes_that_by_mistake(
    synthesised: Synthesised, resources: Find, environment: str
) -> None:
    kept = load_config(environment).retain_data
    assert kept == (environment in ("staging", "prod"))
    for type_ in ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::Athena::WorkGroup"):
        for name, item in resources(environment, type_).items():
            for when in ("DeletionPolicy", "UpdateReplacePolicy"):
                assert item[when] == ("Retain" if kept else "Delete"), name
    manifest = json.loads((synthesised(environment) / "manifest.json").read_text())
    protected = {
        item["displayName"].rpartition("/")[2]
        for item in manifest["artifacts"].values()
        if item["type"] == "aws:cloudformation:stack" and item["properties"].get("terminationProtection")
    }
    assert ("Data" in protected) == kept


def test_the_runs_table_is_encrypted_recoverable_and_where_data_is_kept_protected(
    assembly: Assembly, environment: str
) -> None:
    (table,), (key,) = assembly.of_type("AWS::DynamoDB::Table"), assembly.of_type("AWS::KMS::Key")
    assert table.properties["SSESpecification"] == {
        "SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": assembly.arn_of(key),
    }  # fmt: skip
    assert table.properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert table.properties["DeletionProtectionEnabled"] is load_config(environment).retain_data
    assert table.properties["BillingMode"] == "PAY_PER_REQUEST"


def test_a_query_is_limited_encrypted_and_measured_and_no_client_can_change_that(
    assembly: Assembly, environment: str
) -> None:
    config = load_config(environment)
    (group,), (key,) = assembly.of_type("AWS::Athena::WorkGroup"), assembly.of_type("AWS::KMS::Key")
    assert group.properties["Name"] == f"passerelle-{environment}"
    assert group.properties["RecursiveDeleteOption"] is not config.retain_data
    settings = group.properties["WorkGroupConfiguration"]
    assert settings["EnforceWorkGroupConfiguration"] is True
    assert settings["PublishCloudWatchMetricsEnabled"] is True
    assert settings["RequesterPaysEnabled"] is False
    assert settings["BytesScannedCutoffPerQuery"] == config.data.athena_scan_limit_gb * 10**9
    answers = settings["ResultConfiguration"]
    assert answers["EncryptionConfiguration"] == {"EncryptionOption": "SSE_KMS", "KmsKey": assembly.arn_of(key)}
    assert answers["OutputLocation"] == f"s3://{assembly.name_of(_buckets(assembly)[RESULTS])}/"
    assert answers["ExpectedBucketOwner"] == assembly.account.number


def _tables(assembly: Assembly) -> dict[str, Any]:
    return {item.properties["TableInput"]["Name"]: item.properties for item in assembly.of_type("AWS::Glue::Table")}


def _columns(table: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((item["Name"], item["Type"]) for item in table["TableInput"]["StorageDescriptor"]["Columns"])


def test_every_project_has_its_tables_with_the_columns_that_a_test_compares_with_files(
    assembly: Assembly, environment: str
) -> None:
    tables = _tables(assembly)
    expected = {"captured_predictions": table_columns.CAPTURED, "ledger": table_columns.LEDGER}
    for source in load_projects(load_config(environment).projects):
        name = source.project.name.replace("-", "_")
        expected[name] = table_columns.accepted_rows(source.project)
        expected[f"{name}_datasets"] = table_columns.datasets(source.project)
        expected[f"{name}_quarantine"] = table_columns.rejected_rows(source.project)
        predictions = table_columns.predictions(source.project)
        expected[f"{name}_predictions_delivered"] = predictions
        expected[f"{name}_predictions"] = (*predictions, ("day", "string"))
    assert {name: _columns(table) for name, table in tables.items()} == expected
    (database,) = assembly.of_type("AWS::Glue::Database")
    assert {table["DatabaseName"] for table in tables.values()} == {database.properties["DatabaseInput"]["Name"]}


def _place(table: dict[str, Any], **values: str) -> str:
    """Return where Athena looks for a partition."""
    given = table["TableInput"]
    place = given["Parameters"].get("storage.location.template", given["StorageDescriptor"]["Location"])
    for name, value in values.items():
        assert f"projection.{name}.type" in given["Parameters"]
        assert name in [key["Name"] for key in given["PartitionKeys"]]
        place = place.replace(f"${{{name}}}", value)
    assert "${" not in place, place
    return str(place)


def test_athena_looks_for_rows_where_the_platform_writes_them(assembly: Assembly, environment: str) -> None:
    tables = _tables(assembly)
    zone = {
        name.partition("Bucket")[0].lower(): assembly.name_of(bucket) for name, bucket in _buckets(assembly).items()
    }
    curated, flights = f"s3://{zone['curated']}", tables["flights"]
    assert _place(flights) == f"{curated}/{zones.curated_files_prefix('flights')}/"
    dataset = zones.dataset_prefix("flights", "d1")
    assert _place(tables["flights_datasets"], dataset_id="d1", part="test") == f"{curated}/{dataset}/test/"
    rows = zones.quarantine_rows_prefix("flights", "r1", 2)
    assert _place(tables["flights_quarantine"], run_id="r1", attempt="2") == f"s3://{zone['quarantine']}/{rows}/"
    recorded = zones.prediction_records_key("flights", "2026-11-21", "source", 0).rpartition("/")[0]
    place = _place(tables["flights_predictions_delivered"], day="2026-11-21")
    assert place == f"s3://{zone['predictions']}/{recorded}/"
    charged = zones.ledger_key("flights", "2026-11-21").rpartition("/")[0]
    place = _place(tables["ledger"], project="flights", day="2026-11-21")
    assert place == f"s3://{zone['reports']}/{charged}/"
    captured = tables["captured_predictions"]
    endpoint, folder = naming.endpoint_name(environment, "flights"), zones.capture_prefix("flights")
    place = _place(captured, project="flights", variant="champion", hour="2026/11/21/08")
    assert place == f"s3://{zone['predictions']}/{folder}/{endpoint}/champion/2026/11/21/08/"


def test_partitions_of_captured_predictions_are_projected_by_project_variant_and_hour(assembly: Assembly) -> None:
    parameters = _tables(assembly)["captured_predictions"]["TableInput"]["Parameters"]
    assert parameters["projection.enabled"] == "true"
    assert parameters["projection.project.values"] == "flights"
    assert parameters["projection.variant.values"].split(",") == list(zones.CAPTURED_VARIANTS)
    hour = {key.rpartition("hour.")[2]: value for key, value in parameters.items() if ".hour." in key}
    assert hour == {
        "type": "date", "format": "yyyy/MM/dd/HH", "range": "2026/01/01/00,NOW",
        "interval": "1", "interval.unit": "HOURS",
    }  # fmt: skip
