"""What an endpoint serves: its configuration with the weights and counts of now, and its models, all in one document.

An endpoint keeps its plan from the moment of its request: what becomes of configuration and models later does not touch
it, nor does a restart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from laptop.sagemaker.errors import invalid
from laptop.sagemaker.hosting.rules import captures, check_weights

Plan = dict[str, Any]
_KEPT: Final = ("EndpointConfigName", "ProductionVariants", "ShadowProductionVariants", "DataCaptureConfig")
_SERVED: Final = ("PrimaryContainer", "Containers", "EnableNetworkIsolation", "ExecutionRoleArn")


def make_plan(config: Mapping[str, Any], models: Mapping[str, Mapping[str, Any] | None]) -> Plan:
    """Return the plan of an endpoint configuration.

    Raises ValidationException when one of its models does not exist any more.
    """
    plan = {key: config[key] for key in _KEPT if key in config}
    used: dict[str, Any] = {}
    for variant in listed(plan):
        if "ModelName" not in variant:  # its models come as inference components
            continue
        model = models.get(variant["ModelName"])
        if model is None:
            raise invalid(f'Could not find model "{variant["ModelName"]}".')
        used[variant["ModelName"]] = {key: model[key] for key in _SERVED if key in model}
    return {**plan, "Models": used}


def listed(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the production variants and the shadow."""
    return [*plan["ProductionVariants"], *plan.get("ShadowProductionVariants", ())]


def is_serverless(plan: Mapping[str, Any]) -> bool:
    return any("ServerlessConfig" in variant for variant in plan["ProductionVariants"])


def retained(new: Plan, old: Plan, excluded: Collection[str]) -> Plan:
    """RetainAllVariantProperties: variants of the same name keep their weights and instance counts of now."""
    before = {variant["VariantName"]: variant for variant in old["ProductionVariants"]}
    properties = {"DesiredWeight": "InitialVariantWeight", "DesiredInstanceCount": "InitialInstanceCount"}
    keys = [key for name, key in properties.items() if name not in excluded]

    def changed(variant: dict[str, Any]) -> dict[str, Any]:
        previous = before.get(variant["VariantName"], {})
        return variant | {key: previous[key] for key in keys if key in previous and _may_have(variant, key)}

    return new | {"ProductionVariants": [changed(variant) for variant in new["ProductionVariants"]]}


def _may_have(variant: Mapping[str, Any], key: str) -> bool:
    return key != "InitialInstanceCount" or "InstanceType" in variant


def reweighted(plan: Plan, wanted: Iterable[Mapping[str, Any]]) -> Plan:
    """UpdateEndpointWeightsAndCapacities.

    Raises ValidationException for an unknown variant, a member that its kind has not, or weights that are all zero.
    """
    changes: dict[str, Mapping[str, Any]] = {}
    for item in wanted:
        if item["VariantName"] in changes:
            raise invalid(f"Variant {item['VariantName']} is named twice")
        changes[item["VariantName"]] = item
    unknown = sorted(changes.keys() - {variant["VariantName"] for variant in plan["ProductionVariants"]})
    if unknown:
        raise invalid(f"Could not find production variant {', '.join(unknown)} of the endpoint")
    variants = [_changed(variant, changes.get(variant["VariantName"], {})) for variant in plan["ProductionVariants"]]
    check_weights(variants)
    return plan | {"ProductionVariants": variants}


def _changed(variant: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    name, serverless = variant["VariantName"], "ServerlessConfig" in variant
    changed = dict(variant)
    if "DesiredWeight" in change:
        changed["InitialVariantWeight"] = change["DesiredWeight"]
    if "DesiredInstanceCount" in change:
        if serverless:
            raise invalid(f"Variant {name} is serverless: it has no DesiredInstanceCount")
        changed["InitialInstanceCount"] = change["DesiredInstanceCount"]
    if "ServerlessUpdateConfig" in change:
        if not serverless:
            raise invalid(f"Variant {name} is not serverless: it has no ServerlessUpdateConfig")
        config = variant["ServerlessConfig"] | change["ServerlessUpdateConfig"]
        if config.get("ProvisionedConcurrency", 0) > config["MaxConcurrency"]:
            raise invalid(f"Variant {name}: ProvisionedConcurrency must not exceed MaxConcurrency")
        changed["ServerlessConfig"] = config
    return changed


def weight(variant: Mapping[str, Any]) -> float:
    """Return a variant's weight; "if unspecified, it defaults to 1.0"."""
    return float(variant.get("InitialVariantWeight", 1.0))


def instances(variant: Mapping[str, Any]) -> int:
    """Return how many servers a variant has: its instances, or the copies that provisioned concurrency keeps warm."""
    if "ServerlessConfig" in variant:
        return max(1, int(variant["ServerlessConfig"].get("ProvisionedConcurrency", 1)))
    return int(variant.get("InitialInstanceCount", 1))


def summaries(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variants as DescribeEndpoint shows them."""
    shown = {}
    for key in ("ProductionVariants", "ShadowProductionVariants"):
        if plan.get(key):
            shown[key] = [_summary(variant) for variant in plan[key]]
    return shown


def pending_summaries(plan: Mapping[str, Any], stage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variants of a deployment under way, each with its present stage, as DescribeEndpoint shows them."""
    pending = summaries(plan)
    for key, shown in pending.items():
        for summary, variant in zip(shown, plan[key], strict=True):
            summary |= {"VariantStatus": [dict(stage)]}
            if "InstanceType" in variant:
                summary["InstanceType"] = variant["InstanceType"]
    return pending


def _summary(variant: Mapping[str, Any]) -> dict[str, Any]:
    share = {"CurrentWeight": weight(variant), "DesiredWeight": weight(variant)}
    summary = {"VariantName": variant["VariantName"], **share}
    if "ServerlessConfig" in variant:
        config = variant["ServerlessConfig"]
        return summary | {"CurrentServerlessConfig": config, "DesiredServerlessConfig": config}
    count = variant["InitialInstanceCount"]
    return summary | {"CurrentInstanceCount": count, "DesiredInstanceCount": count}


def capture_summary(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data capture as DescribeEndpoint shows it."""
    if "DataCaptureConfig" not in plan:
        return {}
    capture, enabled = plan["DataCaptureConfig"], captures(plan)
    return {
        "DataCaptureConfig": {
            "EnableCapture": enabled,
            "CaptureStatus": "Started" if enabled else "Stopped",
            "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
            "DestinationS3Uri": capture["DestinationS3Uri"],
            "KmsKeyId": capture.get("KmsKeyId", ""),
        }
    }
