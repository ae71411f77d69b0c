"""Alarms that a state machine makes on the laptop are those that it asked for, and can be found and dropped."""

from __future__ import annotations

import json
from typing import Any

from passerelle.domain.project import load_project
from passerelle.domain.requests.endpoint_alarms import endpoint_alarms
from tests.laptop_platform import LaptopPlatform, unique
from tests.unit.steps.world import ROOT

TOPIC = "arn:aws:sns:us-east-1:000000000000:alerts"


def test_a_state_machine_makes_finds_and_drops_the_alarms_of_an_endpoint(embedded_aws: LaptopPlatform) -> None:
    project = load_project((ROOT / "projects/flights/project.yaml").read_text(), source="p")
    endpoint = unique("endpoint")
    marks = [{"Key": "passerelle:project", "Value": "flights"}]
    made = endpoint_alarms(
        project, endpoint=endpoint, config_name=f"{endpoint}-0a1b2c3d", variant="champion", topic_arn=TOPIC, tags=marks
    )
    states = json.loads((ROOT / "infra/state_machines/deploy_model.asl.json").read_text())["States"]
    names = ("PutAlarms", "FindTrippedAlarms")
    chain: dict[str, Any] = {
        name: states[name] | {"Next": after} for name, after in zip(names, (*names[1:], "End"), strict=True)
    }
    chain["End"] = {"Type": "Succeed"}
    value = {"change": {"phase": "serve"}, "alarms": {"put": made.requests, "names": list(made.names)}}
    machine = embedded_aws.create_machine(chain)
    done = embedded_aws.finish(embedded_aws.start(machine, value))
    assert done["status"] == "SUCCEEDED", done
    assert "tripped" not in json.loads(done["output"])

    cloudwatch = embedded_aws.client("cloudwatch")
    found = {
        alarm["AlarmName"]: alarm for alarm in cloudwatch.describe_alarms(AlarmNames=list(made.names))["MetricAlarms"]
    }
    for wanted in (made.errors, made.latency):
        alarm = found[wanted["AlarmName"]]
        assert {key: alarm.get(key) for key in wanted if key != "Tags"} == {
            key: value for key, value in wanted.items() if key != "Tags"
        }

    cloudwatch.set_alarm_state(AlarmName=made.errors["AlarmName"], StateValue="ALARM", StateReason="rings")
    told = json.loads(embedded_aws.finish(embedded_aws.start(machine, value))["output"])
    assert told.get("tripped") == made.errors["AlarmName"], "a rollback is told by the alarm that rang"

    drop = embedded_aws.create_machine(
        {"Drop": states["DropUnusedAlarms"] | {"Next": "End"}, "End": {"Type": "Succeed"}}
    )
    for _ in range(2):
        assert embedded_aws.finish(embedded_aws.start(drop, value))["status"] == "SUCCEEDED", "also when they are gone"
    assert not cloudwatch.describe_alarms(AlarmNames=list(made.names))["MetricAlarms"]
