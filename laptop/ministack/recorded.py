"""CloudFormation types that the laptop cannot make real: checked against their schema, kept, and listed by status."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Final

from laptop.ministack.worker_threads import run_on_threads

#: Types of our templates, and of those that projects commonly add, for which MiniStack has no provisioner.
RECORDED_TYPES: Final = (
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::Athena::DataCatalog",
    "AWS::Athena::NamedQuery",
    "AWS::BCMDataExports::Export",
    "AWS::Budgets::Budget",
    "AWS::CE::AnomalyMonitor",
    "AWS::CE::AnomalySubscription",
    "AWS::CE::CostCategory",
    "AWS::CUR::ReportDefinition",
    "AWS::CloudTrail::Trail",
    "AWS::CloudWatch::AnomalyDetector",
    "AWS::EC2::EIP",
    "AWS::EC2::FlowLog",
    "AWS::EC2::NatGateway",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EMRServerless::Application",
    "AWS::Events::ApiDestination",
    "AWS::Events::Archive",
    "AWS::Events::Connection",
    "AWS::Events::EventBusPolicy",
    "AWS::Glue::DataQualityRuleset",
    "AWS::IAM::OIDCProvider",
    "AWS::IAM::ServiceLinkedRole",
    "AWS::Logs::QueryDefinition",
    "AWS::SSM::Document",
    "AWS::SageMaker::ModelPackageGroup",
    "AWS::SecretsManager::ResourcePolicy",
    "AWS::SecretsManager::RotationSchedule",
)


class Recorded:
    """Resources that exist on paper only, in a file of the platform's home."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)

    def install(self) -> None:
        """Register every recorded type with MiniStack's CloudFormation."""
        from ministack.services.cloudformation import provisioners

        for type_ in RECORDED_TYPES:
            provisioners._RESOURCE_HANDLERS[type_] = self._handlers(type_)
        # Reading the schemas takes a second, which must not block the event loop.
        run_on_threads(RECORDED_TYPES)

    def names(self) -> list[str]:
        """Return `type physical-id` of every recorded resource."""
        return sorted(f"{item['type']} {physical}" for physical, item in self._read().items())

    def _handlers(self, type_: str) -> dict[str, Any]:
        def create(logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
            from ministack.services.cloudformation.provisioners import _physical_name

            from laptop.ministack.resource_schema import check_properties

            check_properties(type_, properties)
            physical = str(_physical_name(stack, logical))
            self._write(physical, {"type": type_, "properties": properties})
            return physical, _attributes(type_, physical, properties)

        def update(physical: str, old: Any, new: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
            from laptop.ministack.resource_schema import check_properties

            check_properties(type_, new)
            self._write(physical, {"type": type_, "properties": new})
            return physical, _attributes(type_, physical, new)

        def delete(physical: str, properties: Any) -> None:
            self._write(physical, None)

        return {"create": create, "update": update, "delete": delete}

    def _read(self) -> dict[str, Any]:
        if not self._path.exists():
            return {}
        document = json.loads(self._path.read_text(encoding="utf-8"))
        assert isinstance(document, dict)
        return document

    def _write(self, physical: str, item: dict[str, Any] | None) -> None:
        with self._lock:
            document = self._read()
            if item is None:
                document.pop(physical, None)
            else:
                document[physical] = item
            partial = self._path.with_suffix(".partial")
            partial.write_text(json.dumps(document, indent=2, default=str), encoding="utf-8")
            partial.replace(self._path)


def _attributes(type_: str, physical: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Return what Fn::GetAtt may ask for: the schema's read-only properties, as plausible names."""
    from laptop.ministack.resource_schema import schema_of

    names = [pointer.rpartition("/")[2] for pointer in schema_of(type_).get("readOnlyProperties", ())]
    arn = f"arn:aws:{type_.split('::')[1].lower()}:us-east-1:000000000000:recorded/{physical}"
    return {**properties, **{name: arn if name.endswith("Arn") else physical for name in names}}
