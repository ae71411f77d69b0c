"""Alarms as they are put: metric math is kept, composite alarms come from templates too, the rest is refused by name.

MiniStack loses `Metrics`, ignores what it does not know, and has no CloudFormation type for composite alarms. An alarm
that is stored and never judged would look healthy, so what is not evaluated here is not taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from laptop.ministack.alarm_states import COMPARISONS
from laptop.ministack.metric_math import names_in
from laptop.ministack.worker_threads import run_on_threads

_STATISTICS: Final = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_MISSING: Final = ("breaching", "notBreaching", "ignore", "missing")
_ONE_METRIC: Final = ("MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")
_COMPOSITE: Final = "AWS::CloudWatch::CompositeAlarm"
Answer = tuple[int, dict[str, str], bytes]


def install_alarm_requests() -> None:
    """Patch PutMetricAlarm, PutCompositeAlarm, and what CloudFormation puts."""
    from ministack.services import cloudwatch
    from ministack.services.cloudformation import provisioners

    cloudwatch._put_metric_alarm = _metric_alarms(cloudwatch._put_metric_alarm)
    cloudwatch._put_composite_alarm = _composite_alarms(cloudwatch._put_composite_alarm)
    provisioners._cw_metric_alarm_record = _records(provisioners._cw_metric_alarm_record)
    _install_composite_type()


def _metric_alarms(put: Callable[..., Answer]) -> Callable[..., Answer]:
    from ministack.services import cloudwatch

    def put_metric_alarm(params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Answer:
        form = not (is_cbor or is_json)
        try:
            if form and any(name.startswith("Metrics.") for name in params):
                raise ValueError("The laptop takes metric math in JSON requests only, as boto3 sends them")
            if not form:
                check(data)
        except ValueError as error:
            return _refused(str(error), is_cbor=is_cbor, is_json=is_json)
        answer = put(params, data, is_cbor, is_json)
        if data.get("Metrics") and answer[0] == 200:
            alarm = cloudwatch._alarms[data["AlarmName"]]
            cloudwatch._evaluate_alarm(_with_math(alarm, data["Metrics"]))
        return answer

    return put_metric_alarm


def _composite_alarms(put: Callable[..., Answer]) -> Callable[..., Answer]:
    def put_composite_alarm(params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Answer:
        if data.get("ActionsSuppressor") or "ActionsSuppressor" in params:
            return _refused(_SUPPRESSOR, is_cbor=is_cbor, is_json=is_json)
        return put(params, data, is_cbor, is_json)

    return put_composite_alarm


def _records(record: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def alarm_record(name: str, properties: dict[str, Any]) -> dict[str, Any]:
        queries = [_typed(query) for query in properties.get("Metrics") or ()]
        check({**properties, "Metrics": queries})
        if not queries:
            return record(name, properties)
        stand_in = {"MetricName": "-", "Namespace": "-"}
        return _with_math(record(name, {**properties, "Metrics": None, **stand_in}), queries)

    return alarm_record


def _refused(message: str, *, is_cbor: bool, is_json: bool) -> Answer:
    from ministack.services import cloudwatch

    answer: Answer = cloudwatch._error("ValidationError", message, 400, use_json=is_json, use_cbor=is_cbor)
    return answer


_SUPPRESSOR: Final = (
    "The laptop does not evaluate ActionsSuppressor: the alarm's actions would be taken when AWS suppresses them"
)


def check(request: Mapping[str, Any]) -> None:
    """Raise ValueError with the first thing of a metric alarm that is wrong, or that is not evaluated here."""
    operator_, extended = request.get("ComparisonOperator"), request.get("ExtendedStatistic")
    if operator_ not in COMPARISONS:
        raise ValueError(
            f"The laptop has no anomaly detection: ComparisonOperator must be one of {', '.join(COMPARISONS)}, "
            f"not {operator_}"
        )
    if request.get("Threshold") is None:
        raise ValueError("The parameter Threshold is required")
    if request.get("TreatMissingData") not in (None, "", *_MISSING):
        raise ValueError(f"TreatMissingData must be one of {', '.join(_MISSING)}, not {request['TreatMissingData']}")
    if int(request.get("DatapointsToAlarm") or 0) > int(request.get("EvaluationPeriods", 1)):
        raise ValueError("DatapointsToAlarm must not be greater than EvaluationPeriods")
    if extended:
        _check_statistic(extended)
    if request.get("Metrics"):
        both = [name for name in _ONE_METRIC if request.get(name)]
        if both:
            raise ValueError(f"{both[0]} must not be set when Metrics is")
        _check_math(request["Metrics"])


def _check_statistic(name: str) -> None:
    if name not in _STATISTICS and not re.fullmatch(r"p\d{1,2}(\.\d+)?|p100", name):
        raise ValueError(f"The laptop does not compute the statistic {name}: {', '.join(_STATISTICS)} and pNN it does")


def _check_math(queries: Sequence[Mapping[str, Any]]) -> None:
    known: dict[str, set[str]] = {}
    periods = set()
    for query in queries:
        id_ = query.get("Id", "")
        if not re.fullmatch(r"[a-z]\w*", id_) or id_ in known:
            raise ValueError(f"The Id {id_!r} of Metrics must be unique and begin with a lower case letter")
        if ("Expression" in query) == ("MetricStat" in query):
            raise ValueError(f"{id_} of Metrics must have either an Expression or a MetricStat")
        known[id_] = names_in(query["Expression"]) if "Expression" in query else set()
        if "MetricStat" in query:
            periods.add(query["MetricStat"]["Period"])
            _check_statistic(query["MetricStat"]["Stat"])
    if sum(query.get("ReturnData", True) for query in queries) != 1:
        raise ValueError("Exactly one of Metrics must have ReturnData, the others must set it to false")
    if len(periods) != 1:
        raise ValueError("The metrics of Metrics must all have the same Period")
    while known:
        ready = {id_ for id_, needs in known.items() if not needs & known.keys()}
        unknown = set().union(*known.values()) - {query["Id"] for query in queries}
        if unknown or not ready:
            raise ValueError(f"Expressions use ids that no metric has, or each other: {', '.join(unknown or known)}")
        known = {id_: needs for id_, needs in known.items() if id_ not in ready}


def _with_math(alarm: dict[str, Any], queries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Make a stored alarm one on metric math, as DescribeAlarms shows it."""
    for name in _ONE_METRIC:
        alarm.pop(name, None)
    alarm["Metrics"] = [dict(query) for query in queries]
    return alarm


def _typed(query: Mapping[str, Any]) -> dict[str, Any]:
    """Templates may write numbers and truths as text."""
    typed = dict(query)
    if "ReturnData" in typed:
        typed["ReturnData"] = str(typed["ReturnData"]).lower() == "true"
    if "MetricStat" in typed:
        typed["MetricStat"] = typed["MetricStat"] | {"Period": int(typed["MetricStat"]["Period"])}
    return typed


def _install_composite_type() -> None:
    """Let templates make composite alarms that ring, by the same request as the API's."""
    from ministack.services import cloudwatch
    from ministack.services.cloudformation import provisioners

    def save(name: str, properties: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        from laptop.ministack.resource_schema import check_properties

        check_properties(_COMPOSITE, properties)
        enabled = str(properties.get("ActionsEnabled", True)).lower() == "true"
        # CloudFormation's own tags are the service's to set; the request may not name them.
        tags = [tag for tag in properties.get("Tags") or () if not tag["Key"].startswith("aws:")]
        request = {**properties, "AlarmName": name, "ActionsEnabled": enabled, "Tags": tags}
        status, _, body = cloudwatch._put_composite_alarm({}, request, False, True)
        if status != 200:
            raise ValueError(json.loads(body)["message"])
        return name, {"Arn": cloudwatch._composite_alarms[name]["AlarmArn"]}

    def create(logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        return save(properties.get("AlarmName") or provisioners._physical_name(stack, logical, max_len=255), properties)

    def update(physical: str, old: Any, new: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        return save(physical, new)

    def delete(physical: str, properties: Any) -> None:
        cloudwatch._delete_alarms({}, {"AlarmNames": [physical]}, False, True)

    provisioners._RESOURCE_HANDLERS[_COMPOSITE] = {"create": create, "update": update, "delete": delete}
    # Reading the schema takes a second, which must not block the event loop.
    run_on_threads([_COMPOSITE])
    provisioners._STACK_TAG_PROPERTY[_COMPOSITE] = ("Tags", "list")
    provisioners._REPLACING_PROPERTIES[_COMPOSITE] = ("AlarmName",)
    provisioners._CUSTOM_NAME_REPLACEMENT[_COMPOSITE] = {"name": "AlarmName"}
