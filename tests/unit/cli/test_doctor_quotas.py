"""Which quotas, instance types and database an environment needs, and what is concluded from what there is."""

from __future__ import annotations

from typing import Any

import pytest

from passerelle.domain.preflight import Finding, environment, instances, quotas
from passerelle.domain.preflight.quotas import Quota, by_name, judge_quota, quota_needs
from passerelle.domain.project import Project
from tests.unit.cli.preflight import given, project, tracking


def needs(environment_: environment.Environment, *projects: Project, **taken: int) -> dict[str, tuple[float, float]]:
    found = quota_needs(environment_, projects, vpcs=taken.get("vpcs", 0), addresses=taken.get("addresses", 0))
    assert len({need.name for need in found}) == len(found)
    return {need.name: (need.at_least, need.better) for need in found}


def test_every_job_and_endpoint_needs_the_quota_of_its_own_type_and_way() -> None:
    spot = project("aa", training={"instance_type": "ml.g4dn.xlarge", "spot": True})
    plain = project("bb", training={"instance_type": "ml.m5.xlarge", "spot": False, "max_wait_minutes": None})
    served = project("cc", training={"instance_type": "ml.g4dn.xlarge"}, serving={"instance_count": 3})
    found = needs(given(tracking=None, network=None), spot, plain, served)
    assert found == {
        "ml.m5.large for processing job usage": (1, 3),
        "ml.g4dn.xlarge for spot training job usage": (1, 2),
        "ml.m5.xlarge for training job usage": (1, 1),
        "ml.m5.large for endpoint usage": (5, 8),
        "Concurrent executions": (1, 25),
        quotas.X86_BUILDS: (1, 1),
    }


def test_where_training_goes_on_needs_quotas_that_it_can_begin_without() -> None:
    spot = project(
        "aa",
        training={
            "instance_type": "ml.g4dn.xlarge", "fallback_instance_types": ["ml.g5.xlarge"],
            "on_demand_after_interruptions": 2,
        },
    )  # fmt: skip
    warm = project("bb", training={"spot": False, "max_wait_minutes": None, "keep_alive_minutes": 30})
    found = {name: need for name, need in needs(given(), spot, warm).items() if "training" in name}
    assert found == {
        "ml.g4dn.xlarge for spot training job usage": (1, 1),
        "ml.g5.xlarge for spot training job usage": (0, 1),
        "ml.g4dn.xlarge for training job usage": (0, 1),
        "ml.g5.xlarge for training job usage": (0, 1),
        "ml.m5.xlarge for training job usage": (1, 1),
        "ml.m5.xlarge for training warm pool usage": (1, 1),
    }
    types = {use.instance_type for use in instances.instance_uses(given(), [spot]) if "Training" in use.component}
    assert types == {"ml.g4dn.xlarge", "ml.g5.xlarge"}


@pytest.mark.parametrize(("search", "instances"), [({"engine": "job"}, 1), ({"engine": "sagemaker", "minutes": 90}, 6)])
def test_a_search_by_a_fleet_has_as_many_instances_at_a_time_as_it_declares(
    search: dict[str, Any], instances: int
) -> None:
    searched = project(training={"tuning": {"trials": 40, "parallel": 6, **search}})
    assert needs(given(), searched)["ml.m5.xlarge for spot training job usage"] == (1, instances)


def test_a_fallback_without_quota_is_a_warning_that_says_what_it_is_for() -> None:
    aside = project(training={"fallback_instance_types": ["ml.g5.xlarge"]})
    name = "ml.g5.xlarge for spot training job usage"
    (need,) = [need for need in quota_needs(given(), [aside], vpcs=0, addresses=0) if need.name == name]
    found = judge_quota(need, by_name([Quota(name, "L-ABC", 0.0)]), "us-east-1")
    assert found.status == "warning"
    assert "without capacity for the first type" in found.found
    assert "--desired-value 1 " in found.remedy


def test_serverless_projects_share_one_concurrency_for_the_account() -> None:
    first = project("aa", serving={"profile": "serverless", "max_concurrency": 10})
    second = project("bb", serving={"profile": "serverless", "max_concurrency": 5})
    found = needs(given(tracking=None, network=None), first, second)
    assert found[quotas.SERVERLESS_CONCURRENCY] == (15, 15)
    assert found[quotas.SERVERLESS_ENDPOINTS] == (2, 2)


def test_tasks_on_spot_need_another_quota_than_the_schema_task() -> None:
    on_demand = needs(given(tracking=tracking(cpu=1024, tasks=2)))
    assert on_demand[quotas.FARGATE] == (2.25, 4.25)
    assert quotas.FARGATE_SPOT not in on_demand
    spot = needs(given(tracking=tracking(cpu=1024, tasks=2, spot=True)))
    assert (spot[quotas.FARGATE], spot[quotas.FARGATE_SPOT]) == ((0.25, 0.25), (2, 4))


def test_vpcs_and_addresses_are_needed_beside_those_that_are_there() -> None:
    network = {"egress": "nat", "cidr": "10.60.0.0/20", "zones": ["a", "b"], "nat_gateways": 2}
    found = needs(given(network=network), vpcs=4, addresses=3)
    assert (found[quotas.VPCS], found[quotas.ELASTIC_IPS]) == ((5, 5), (5, 5))
    assert quotas.ELASTIC_IPS not in needs(given())


SPOT = "ml.g4dn.xlarge for spot training job usage"


def judged(value: float | None, name: str = SPOT, *, adjustable: bool = True, users: int = 1) -> Finding:
    names = [f"p{number}" for number in range(users)]
    projects = [project(name_, training={"instance_type": "ml.g4dn.xlarge"}) for name_ in names]
    (need,) = [n for n in quota_needs(given(), projects, vpcs=0, addresses=0) if n.name == SPOT]
    listed = [Quota("ml.m5.large for endpoint usage", "L-0", 4.0)]
    listed += [] if value is None else [Quota(name, "L-ABC", value, adjustable)]
    return judge_quota(need, by_name(listed), "eu-west-3")


def test_the_spot_quota_of_a_new_account_is_zero_and_the_remedy_raises_just_that_one() -> None:
    found = judged(0.0)
    assert (found.status, found.found) == ("missing", "0, needed 1 (trains p0 on managed spot)")
    assert "--region eu-west-3 --service-code sagemaker --quota-code L-ABC --desired-value 1 " in found.remedy
    assert "training.spot: false" in found.remedy


def test_a_quota_that_suffices_only_one_at_a_time_is_a_warning() -> None:
    assert judged(1.0).status == "ok"
    found = judged(1.0, users=3)
    assert found.status == "warning"
    assert "--desired-value 3 " in found.remedy


def test_a_quota_that_aws_never_raises_offers_only_the_other_way() -> None:
    found = judged(0.0, adjustable=False)
    assert found.remedy.startswith("AWS does not raise this quota. Or set training.spot: false")


def test_a_type_without_any_quota_is_not_offered_and_one_without_this_quota_is_looked_for() -> None:
    nowhere = judged(None)
    assert (nowhere.status, "not offered there" in nowhere.found) == ("missing", True)
    other = judged(4.0, "ml.g4dn.xlarge for training job usage")
    assert (other.status, "console" in other.remedy) == ("warning", True)


def test_quotas_are_found_whatever_the_case_of_their_name() -> None:
    assert judged(1.0, "ML.g4dn.xlarge for Spot training job usage ").status == "ok"


# Instances


def test_a_type_that_ec2_lacks_is_missing_and_one_without_a_price_a_warning() -> None:
    uses = instances.instance_uses(
        given(region="eu-west-3"),
        [project(training={"instance_type": "ml.g5.xlarge"}, serving={"instance_type": "ml.m6i.large"})],
    )
    assert {(use.instance_type, use.component) for use in uses} == {
        ("ml.m5.large", "SageMaker Processing"), ("ml.g5.xlarge", "SageMaker Training"), ("ml.m6i.large", "SageMaker Hosting"),
    }  # fmt: skip
    found = {f.name: f.status for f in instances.judge_instances(uses, {"m5.large", "m6i.large"}, "eu-west-3")}
    assert found == {
        "Instance: ml.m5.large for processing": "ok",
        "Instance: ml.g5.xlarge for training": "missing",
        "Instance: ml.m6i.large for hosting": "warning",
    }


def test_of_an_instance_with_several_gpus_it_is_said_that_one_is_used() -> None:
    uses = [instances.InstanceUse(f"ml.g5.{size}xlarge", "SageMaker Training", "aa") for size in ("", "12")]
    one, several = instances.judge_instances(uses, {"g5.xlarge", "g5.12xlarge"}, "us-east-1")
    assert one.status == "ok"
    assert (several.status, "XGBoost fits on one of them (aa)" in several.found) == ("warning", True)
    assert "smaller size" in several.remedy


@pytest.mark.parametrize(
    ("offer", "multi_az", "verdict"),
    [
        (instances.DatabaseOffer("gp3", False, ("us-east-1a",)), False, "ok"),
        (instances.DatabaseOffer("gp3", True, ("us-east-1a", "us-east-1b")), True, "ok"),
        (instances.DatabaseOffer("gp3", True, ("us-east-1a", "us-east-1f")), True, "missing"),
        (instances.DatabaseOffer("gp3", False, ("us-east-1a", "us-east-1b")), True, "missing"),
        (instances.DatabaseOffer("gp2", True, ("us-east-1a", "us-east-1b")), False, "missing"),
        (instances.DatabaseOffer("gp3", True, ("us-east-1c",)), False, "missing"),
    ],
)
def test_rds_must_offer_class_storage_standby_and_zones_together(offer: Any, multi_az: bool, verdict: str) -> None:
    environment_ = given(tracking=tracking(multi_az=multi_az))
    assert environment_.tracking
    assert instances.judge_database(environment_, environment_.tracking, ("a", "b"), [offer]).status == verdict


def test_a_class_that_rds_has_not_at_all_is_told_apart_from_one_elsewhere() -> None:
    environment_ = given(tracking=tracking(database_instance="m8g.large"))
    assert environment_.tracking
    found = instances.judge_database(environment_, environment_.tracking, ("a", "b"), [])
    assert (found.status, found.found) == ("missing", "RDS has no db.m8g.large with postgres 17.9 in us-east-1")


def test_spark_needs_the_vcpus_with_which_a_job_begins_and_warns_below_the_environment_s_maximum() -> None:
    assert quotas.SPARK_VCPUS not in needs(given())
    assert needs(given(spark={"maximum_vcpus": 64}))[quotas.SPARK_VCPUS] == (16, 64)


def test_each_image_that_codebuild_makes_needs_a_build_of_its_architecture() -> None:
    built = needs(given())
    assert (built[quotas.X86_BUILDS], built[quotas.ARM_BUILDS]) == ((1, 1), (1, 1))
    found = needs(given(images={"source": "local"}))
    assert not {quotas.X86_BUILDS, quotas.ARM_BUILDS} & {*found}
