"""A run's cost says of what it is the price, what it leaves out, and never takes unknown for zero."""

from __future__ import annotations

from typing import Any

import pytest

from passerelle.aws.execution_usage import ExecutionUsage, FunctionUsage
from passerelle.contracts.runs import RunCost, RunRecord, StageRecord
from passerelle.settings import CloseRunSettings
from passerelle.steps.close_run import close_run
from passerelle.steps.run_costs import run_cost

from .results import BASE
from .world import MOMENT, Aws

USAGE = ExecutionUsage(40, (FunctionUsage("arm64", 5, 3.0), FunctionUsage("x86_64", 2, 4.0)))


def _record(**job: Any) -> RunRecord:
    stages = (
        StageRecord(stage="collect", status="done", started_at=MOMENT),
        StageRecord.model_validate(
            {"stage": "train", "status": "done", "started_at": MOMENT, "instance_type": "ml.m5.xlarge",
             "billable_seconds": 3600.0, "cost_usd": 0.23, **job}
        ),
    )  # fmt: skip
    return RunRecord(
        project="flights", run_id="r1", attempt=1, status="running", created_at=MOMENT, updated_at=MOMENT, stages=stages
    )


def _parts(cost: RunCost) -> dict[str, tuple[float | None, str]]:
    return {part.name: (part.usd, part.basis) for part in cost.parts}


def test_jobs_transitions_and_functions_are_priced_and_summed() -> None:
    cost = run_cost(_record(), USAGE, "us-east-1")
    parts = _parts(cost)
    assert parts["train"] == (0.23, "3600 s of ml.m5.xlarge")
    assert parts["Step Functions"] == (pytest.approx(0.001), "40 state transitions")
    lambda_usd = 7 * 0.2e-6 + 3.0 * 1.33334e-05 + 4.0 * 1.66667e-05
    assert parts["Lambda"] == (pytest.approx(lambda_usd), "7 calls, at most 7.0 GB-seconds")
    assert cost.known_usd == pytest.approx(0.231 + lambda_usd)
    assert cost.complete
    assert "endpoint" in cost.excluded


def test_f31_where_a_region_has_no_price_its_part_is_unknown_and_the_sum_says_so() -> None:
    usage = ExecutionUsage(40, (FunctionUsage("arm64", 5, 3.0),))
    cost = run_cost(_record(), usage, "eu-west-3")
    assert _parts(cost)["Step Functions"][0] is None
    assert _parts(cost)["Lambda"][0] == pytest.approx(5 * 2e-07 + 3.0 * 1.33334e-05)
    assert not cost.complete


def test_one_function_without_a_price_makes_all_of_them_unknown() -> None:
    assert _parts(run_cost(_record(), USAGE, "eu-west-3"))["Lambda"][0] is None


@pytest.mark.parametrize("usage", [None, ExecutionUsage(3, None)])
def test_f31_what_step_functions_or_lambda_do_not_say_is_unknown(usage: ExecutionUsage | None) -> None:
    cost = run_cost(_record(), usage, "us-east-1")
    assert _parts(cost)["Lambda"] == (None, "an unknown time of functions")
    assert (cost.known_usd, cost.complete) == (pytest.approx(0.23 if usage is None else 0.230075), False)


def test_when_nothing_is_known_the_sum_is_unknown_too() -> None:
    cost = run_cost(_record(cost_usd=None, billable_seconds=None), None, "us-east-1")
    assert (cost.known_usd, cost.complete) == (None, False)
    assert _parts(cost)["train"] == (None, "an unknown time of ml.m5.xlarge")


def test_closing_a_run_writes_its_cost_once(aws: Aws) -> None:
    aws.begin_run(stages=_record().stages)
    for _ in range(2):
        close_run({**BASE, "status": "passed"}, CloseRunSettings(**aws.shared))
    cost = aws.table.need("flights", "r1").cost
    assert cost is not None
    assert (cost.known_usd, cost.complete) == (pytest.approx(0.23), False)


def test_a_run_whose_history_may_not_be_read_is_closed_all_the_same(aws: Aws) -> None:
    aws.begin_run(stages=_record().stages, execution_arn=aws.execution_arn("gone"))
    assert close_run({**BASE, "status": "passed"}, CloseRunSettings(**aws.shared))["status"] == "succeeded"
    cost = aws.table.need("flights", "r1").cost
    assert cost is not None
    assert _parts(cost)["Step Functions"][0] is None
