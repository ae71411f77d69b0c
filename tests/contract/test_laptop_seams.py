"""What the laptop touches inside MiniStack is where it was: an upgrade that moves it fails here, by name."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "laptop"
#: Module -> private name -> parameters that the laptop gives it, in order (None: it is not a function).
SEAMS: dict[str, dict[str, tuple[str, ...] | None]] = {
    "ministack.app": {
        "_build_persistence_save_dict": (),
        "_lazy_handler": ("module_name",),
        "_loaded_modules": None,
    },
    "ministack.core.iam_actions": {
        "_BOTOCORE_SERVICE_MAP": None,
        "_s3_action": ("method", "path", "query_params"),
    },
    "ministack.core.iam_evaluator": {"_anonymous": None, "_is_root_key": ("access_key_id",)},
    "ministack.core.persistence": {"_json_default": ("obj",), "_state_format_version": ("service",)},
    "ministack.core.lambda_runtime": {"_PYTHON_WORKER_SCRIPT": None},
    "ministack.services.cloudformation.provisioners": {
        "_CUSTOM_NAME_REPLACEMENT": None,
        "_REPLACING_PROPERTIES": None,
        "_RESOURCE_HANDLERS": None,
        "_cw_metric_alarm_record": ("name", "props"),
        "_STACK_TAG_PROPERTY": None,
        "_physical_name": ("stack_name", "logical_id"),
    },
    "ministack.services.cloudformation.stacks": {"_runs_on_worker_thread": ("resource_type",)},
    "ministack.services.cloudwatch": {
        "_alarms": None,
        "_calc_stats": ("points",),
        "_composite_alarms": None,
        "_delete_alarms": ("params", "cbor_data", "is_cbor", "is_json"),
        "_dims_key": ("dims",),
        "_dispatch_alarm_actions": ("alarm", "old_state", "new_state", "reason"),
        "_evaluate_alarm": ("alarm",),
        "_evaluate_all_alarms": (),
        "_error": ("code", "message", "status", "use_json", "use_cbor"),
        "_evaluate_parent_alarms": ("child",),
        "_evict_old_metrics": (),
        "_get_metric_data": ("params", "cbor_data", "is_cbor", "is_json"),
        "_metric_bucket": ("key",),
        "_metrics": None,
        "_put_composite_alarm": ("params", "cbor_data", "is_cbor", "is_json"),
        "_put_metric_alarm": ("params", "cbor_data", "is_cbor", "is_json"),
        "_put_metric_data": ("params", "cbor_data", "is_cbor", "is_json"),
        "_record_history": ("alarm_name", "old_state", "new_state", "reason", "alarm_type", "reason_data"),
        "_stat_value": ("stats", "stat_name", "points"),
    },
    "ministack.services.cloudwatch_logs": {
        "_create_log_group": ("data",),
        "_create_log_stream": ("data",),
        "_fanout_to_subscription_filters": ("group_name", "stream_name", "events"),
        "_log_groups": None,
        "_metric_filters": None,
        "_put_log_events": ("data",),
        "_put_metric_filter": ("data",),
        "_subscription_pattern_matches": ("pattern", "message"),
    },
    "ministack.services.eventbridge": {
        "_cron_next_fire": ("fields", "after_dt"),
        "_dispatch_event": ("event",),
        "_dispatch_to_lambda": ("arn", "payload"),
        "_dispatch_to_sns": ("arn", "payload"),
        "_dispatch_to_sqs": ("spec", "payload", "sqs_parameters"),
        "_dispatch_to_stepfunctions": ("arn", "payload"),
        "_invoke_target": ("target", "event", "rule", "view"),
        "_parse_cron_fields": ("expr",),
        "_pattern_event_view": ("event",),
        "_put_events": ("data", "allow_aws_source"),
    },
    "ministack.services.iam": {"_roles": None},
    "ministack.services.lambda_svc": {
        "_emit_lambda_metrics": ("function_name", "duration_ms", "error", "throttle"),
        "_execute_function": ("func", "event"),
        "_execute_function_dispatch": ("func", "config", "event"),
        "_execute_function_warm": ("func", "event", "request_id"),
        "_execution_record_for_config": ("func", "config"),
        "_get_func_record_for_ref": ("function_ref",),
    },
    "ministack.services.s3": {
        "_bucket_default_sse_headers": ("bucket_name",),
        "_put_bucket_encryption": ("name", "body"),
        "_object_versions": None,
    },
    "ministack.services.scheduler": {
        "_SCHEDULE_TICK_INTERVAL": None,
        "_create_schedule": ("name", "body"),
        "_error": ("status", "code", "message"),
        "_schedules": None,
        "_tick_schedules": (),
        "_update_schedule": ("name", "body"),
    },
    "ministack.services.sns": {"_topic_by_arn_any_scope": ("topic_arn",)},
    "ministack.services.sqs": {"_md5_msg_attrs": ("attrs",), "_queue_by_arn": ("arn",), "_queues": None},
    "ministack.services.stepfunctions": {
        "_ExecutionError": None,
        "_AWS_SDK_ERROR_PREFIX": None,
        "_AWS_SDK_SERVICE_MAP": None,
        "_SERVICE_DISPATCH": None,
        "_add_event": ("execution", "event_type", "details"),
        "_apply_input_path": ("state_def", "data", "ctx"),
        "_apply_jsonata_output": ("state_def", "raw_input", "ctx"),
        "_apply_output_path": ("state_def", "data", "ctx"),
        "_describe_execution": ("data",),
        "_emit_execution_status_event": ("execution",),
        "_error_matches": ("error_equals", "error"),
        "_execute_choice": ("state_def", "raw_input", "ctx"),
        "_execute_map": ("state_def", "raw_input", "execution", "ctx"),
        "_execute_parallel": ("state_def", "raw_input", "execution", "ctx"),
        "_execute_pass": ("state_def", "raw_input", "ctx"),
        "_execute_task": ("state_def", "raw_input", "execution", "ctx"),
        "_execute_wait": ("state_def", "raw_input", "ctx"),
        "_executions": None,
        "_fail_state_error": ("state_def", "raw_input", "ctx"),
        "_find_matching_retrier": ("retriers", "error", "retry_counts"),
        "_invoke_resource": ("resource", "input_data"),
        "_invoke_nested_start_execution_sync": ("resource", "input_data"),
        "_nested_start_execution_request": ("input_data",),
        "_resolve_state_machine_arn": ("arn",),
        "_run_execution": ("exec_arn",),
        "_start_execution": ("data",),
        "_state_machines": None,
        "_stop_execution": ("data",),
        "_timestamp_response_value": ("value",),
    },
}
CASES = [(module, name) for module, names in SEAMS.items() for name in names]


@pytest.mark.parametrize(("module", "name"), CASES)
def test_a_private_name_of_ministack_that_the_laptop_uses_still_exists_with_its_parameters(
    module: str, name: str
) -> None:
    found = getattr(importlib.import_module(module), name)
    wanted = SEAMS[module][name]
    if wanted is not None:
        assert tuple(inspect.signature(found).parameters)[: len(wanted)] == wanted


def test_no_private_name_of_ministack_is_used_that_this_test_does_not_watch() -> None:
    watched = {name for names in SEAMS.values() for name in names} | {"_data"}
    uses: set[str] = set()
    for path in (ROOT / "ministack").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        modules = "app|router|iam_actions|persistence|lambda_runtime|provisioners|stacks|cloudwatch|logs|eventbridge"
        modules += "|iam_evaluator|iam|sts|scheduler|lambda_svc|s3|sns|sqs|sfn|stepfunctions"
        uses |= set(re.findall(rf"\b(?:{modules})\.(_[A-Za-z]\w+)", text))
        uses |= set(re.findall(r"import (_\w+)", text))
    assert sorted(uses - watched) == []


def test_the_worker_of_python_functions_has_the_line_that_is_patched() -> None:
    from ministack.core import lambda_runtime

    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    assert script.count('"error": str(e)') + script.count("type(e).__name__ + chr(31)") == 2
