"""What training warns of stands in the run's record, where people look."""

from __future__ import annotations

from passerelle.contracts.container import Problem
from passerelle.settings import RecordTrainingSettings
from passerelle.steps.record_training import record_training

from . import results
from .results import BASE, as_json
from .world import Aws

LEAK = Problem(
    code="suspected_leakage", severity="warning", column="dep_delay", rule="r", message="alone tells", remedy="hide it"
)


def test_a_suspected_leak_is_kept_once_beside_the_datas_problems(aws: Aws) -> None:
    aws.begin_run(problems=(results.LATE_ROW,))
    results.put_result(aws, "prepare", results.prepared().model_dump_json())
    result = results.trained().model_copy(update={"warnings": (LEAK,)})
    results.put_training_output(aws, results.archive({"result.json": result.model_dump_json().encode()}))
    request = {**BASE, "training_job_name": "x", "training_try": 1, "job": results.training_description(aws)}
    for _ in range(2):
        record_training(as_json(request), RecordTrainingSettings(**aws.jobs))
    record = aws.table.need("flights", "r1")
    assert [problem.code for problem in record.problems] == ["bad_number", "suspected_leakage"]
