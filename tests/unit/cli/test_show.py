"""How a run reads on the console: nothing that a person needs is missing, nothing in the data is taken for markup."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from cli.narrate import describe_event, stage_seconds
from cli.show import show_run
from passerelle.contracts.container import Problem
from passerelle.contracts.runs import CostPart, RunCost, RunError, RunFile, RunRecord, StageRecord

MOMENT = "2026-01-01T00:00:00+00:00"


def _shown(**fields: Any) -> str:
    record = RunRecord(
        **{
            "project": "flights", "run_id": "r1", "attempt": 1, "status": "succeeded", "created_at": MOMENT,
            "updated_at": MOMENT, **fields,
        }
    )  # fmt: skip
    output = io.StringIO()
    show_run(Console(file=output, width=200, highlight=False), record)
    return output.getvalue()


def _stage(name: str, **fields: Any) -> StageRecord:
    return StageRecord.model_validate({"stage": name, "status": "done", "started_at": MOMENT, **fields})


def test_a_bad_file_is_shown_with_place_rule_and_remedy() -> None:
    problem = Problem(
        code="out_of_range", file="raw/[jan].csv", row=17, column="age", rule="age <= 120", message="930 is above 120",
        remedy="Correct the cell, or widen max in project.yaml.", count=3,
    )  # fmt: skip
    text = _shown(status="rejected", problems=(problem,), quarantine_uri="s3://q/r1/")
    for words in (
        "rejected",
        "raw/[jan].csv",
        "row 17",
        "column age",
        "930 is above 120",
        "(3×)",
        "[age <= 120]",
        "widen max",
        "s3://q/r1/",
    ):
        assert words in text


def test_row_zero_of_a_parquet_file_is_named() -> None:
    assert "row 0" in _shown(problems=(Problem(code="x", file="a.parquet", row=0, rule="r", message="m", remedy="f"),))


def test_a_failure_is_shown_with_stage_message_remedy_and_log() -> None:
    error = RunError(
        stage="train", message="killed [signal 9]", remedy="Try again.", log_group="/aws/x", log_stream="j/1"
    )
    text = _shown(status="failed", error=error)
    for words in ("failed", "killed [signal 9]", "Stage: train. Try again.", "/aws/x j/1"):
        assert words in text


def test_an_unknown_price_is_never_shown_as_zero() -> None:
    stages = (
        _stage("prepare", instance_type="ml.m5.large", billable_seconds=10, cost_usd=0.25),
        _stage("train", instance_type="ml.unknown", billable_seconds=10, cost_usd=None),
    )
    text = _shown(stages=stages)
    assert "0.250000 (partial)" in text
    assert "unknown" in next(line for line in text.splitlines() if "ml.unknown" in line).replace("ml.unknown", "")


def test_a_refused_model_is_shown_with_each_reason_and_its_registered_version() -> None:
    checks = [
        {"name": "beats_baseline", "passed": True, "message": "0.9 against 0.5"},
        {"name": "segments", "passed": False, "message": "plan = free is worse [by 0.2]"},
        {"name": "calibration", "passed": False, "severity": "advisory", "message": "off by 0.3"},
    ]
    gate = {"status": "refused", "checks": checks, "verdict": "Refused: 1 of 2 required checks failed."}
    text = _shown(status="refused", gate=gate, model_version="7")
    for words in (
        "refused (the gate or the shadow refused the model; what was served before goes on)",
        "✓ 0.9 against 0.5",
        "✗ plan = free is worse [by 0.2]",
        "! off by 0.3",
        "Gate: Refused: 1 of 2 required checks failed.",
        "Model version 7",
    ):
        assert words in text, text


def test_a_suspected_leak_is_shown_with_its_column_and_what_to_do() -> None:
    leak = Problem(code="suspected_leakage", severity="warning", column="dep_delay", rule="r",
                   message="column 'dep_delay' alone tells 'late': ROC AUC 0.9990", remedy="Set role: leakage.")  # fmt: skip
    text = _shown(problems=(leak,))
    for words in ("! ", "column dep_delay", "alone tells 'late': ROC AUC 0.9990", "Set role: leakage."):
        assert words in text


def test_candidates_are_shown_with_their_errors_and_the_choice() -> None:
    text = _shown(
        candidates=(
            {"name": "logistic", "score": 0.71234, "standard_error": 0.01, "seconds": 2.0},
            {"name": "xgboost", "score": None, "error": "ValueError: [bad]", "seconds": 1.0},
        ),
        chosen="logistic",
        why="within one standard error",
    )
    assert "0.7123" in text
    assert "chosen" in text
    assert "ValueError: [bad]" in text
    assert "within one standard error" in text


def test_a_duplicate_names_the_run_that_did_the_work() -> None:
    file = RunFile(key="flights/a.csv", version_id="1", size=1, sha256="0", outcome="duplicate", duplicate_of="r0")
    text = _shown(status="duplicate", duplicate_of="r0", files=(file,))
    assert "Already processed by run r0" in text
    assert "duplicate of run r0" in text


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"event": "file_validated", "file": "a[1].csv", "rows_accepted": 1000, "rows_rejected": 2}, "1,000 rows"),
        ({"event": "candidate_finished", "candidate": "x", "metric": "auc", "score": 0.5, "seconds": 1}, "auc 0.5000"),
        ({"event": "model_chosen", "candidate": "x"}, "chosen: x"),
        ({"event": "reduction_resumed", "candidate": "x", "sizes": 2}, "x: 2 numbers of features were tried before"),
        ({"event": "fit_resumed", "candidate": "x", "rounds": 75, "of": 200}, "checkpoint, with 75 of 200 rounds"),
        ({"event": "gpu_not_used", "why": "no CUDA"}, "GPU not used: no CUDA"),
        ({"event": "something_else"}, None),
        ({}, None),
    ],
)
def test_progress_events_become_sentences_and_unknown_ones_are_silent(event: dict[str, Any], words: str | None) -> None:
    sentence = describe_event(event)
    assert (sentence is None) if words is None else (sentence is not None and words in sentence)


def test_a_stage_at_work_has_no_duration_yet() -> None:
    assert stage_seconds(_stage("train", status="running")) is None
    assert stage_seconds(_stage("train", ended_at="2026-01-01T00:01:00+00:00")) == 60


def test_a_cost_names_its_parts_and_what_it_leaves_out_and_no_unknown_is_zero() -> None:
    known = CostPart(name="train", usd=0.23, basis="3600 s of ml.m5.xlarge")
    unknown = CostPart(name="Lambda", usd=None, basis="an unknown time of functions")
    text = _shown(cost=RunCost(known_usd=0.23, complete=False, parts=(known, unknown), excluded="the endpoint"))
    assert "at least 0.230000 = train 0.230000 (3600 s of ml.m5.xlarge); Lambda unknown" in text
    assert "Not counted: the endpoint." in text
    nothing = _shown(
        cost=RunCost(known_usd=None, complete=False, parts=(unknown,), excluded="x"),
        stages=(_stage("train", instance_type="ml.none.large"),),
    )
    assert "On AWS, USD: unknown = Lambda unknown" in nothing
    assert "0.000000" not in nothing


def test_a_run_names_the_engine_that_prepared_its_data_and_why() -> None:
    summary = {"engine": "spark", "engine_reason": "25.0 GB of data are more than one machine prepares well"}
    stage = StageRecord(stage="prepare", status="done", started_at="2026-11-21T00:00:00Z", summary=summary)
    assert "Prepared by   spark: 25.0 GB of data are more" in _shown(stages=(stage,))


def test_what_the_shadow_showed_is_told_with_each_reason_and_where_its_evidence_lies() -> None:
    shadow = {"verdict": "reject", "reasons": ["it failed 9 of 90 requests"], "evidence": "s3://reports/shadow.json"}
    text = _shown(status="refused", shadow=shadow)
    for words in ("Shadow: reject", "s3://reports/shadow.json", "it failed 9 of 90 requests"):
        assert words in text
    assert "promote" not in text


def test_of_a_challenger_that_showed_too_little_the_command_that_tries_it_again_is_told() -> None:
    shadow = {"verdict": "keep", "reasons": ["35 requests (declared: 500)"], "evidence": "s3://reports/shadow.json"}
    text = _shown(status="refused", shadow=shadow, model_version="2")
    assert "`passerelle promote flights --version 2` has it tried again" in text


def test_a_refused_model_that_was_served_since_is_not_said_to_be_kept_out() -> None:
    shadow = {"verdict": "promote", "reasons": ["it stood 535 requests"], "evidence": "s3://reports/shadow.json"}
    text = _shown(status="refused", shadow=shadow, model_version="2", endpoint_name="passerelle-laptop-flights")
    assert "served later, by hand" in text
    assert "what was served before goes on" not in text
