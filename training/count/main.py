"""Entry `count`: count the records of a window by a model's references."""

from __future__ import annotations

from typing import Final

from passerelle.aws.recorded_window import count_window
from passerelle.contracts.container import (
    COUNT_INPUTS,
    COUNT_OUTPUTS,
    PERFORMANCE_FILE,
    QUESTION_FILE,
    REFERENCE_FILE,
    RESULT_FILE,
)
from passerelle.contracts.monitoring import CountQuestion
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.drift.reference import Reference
from training.paths import processing
from training.progress import tell

#: Of the smallest instance's 8 GiB (ml.m5.large); beyond it, DuckDB writes to the disk.
_MEMORY_MIB: Final = 4_096


def main() -> int:
    """Run the entry in SageMaker's layout."""
    output, asked = processing(COUNT_OUTPUTS["result"]), processing(COUNT_INPUTS["question"])
    output.mkdir(parents=True, exist_ok=True)
    question = CountQuestion.model_validate_json((asked / QUESTION_FILE).read_text(encoding="utf-8"))
    reference = Reference.from_json((asked / REFERENCE_FILE).read_text(encoding="utf-8"))
    files = sorted(processing(COUNT_INPUTS["records"]).rglob("*.parquet"))
    estimating = asked / PERFORMANCE_FILE
    performance = PerformanceReference.from_json(estimating.read_bytes()) if estimating.is_file() else None
    labels = next(iter(processing(COUNT_INPUTS["labels"]).rglob("*.parquet")), None)
    counted = count_window(files, question, reference, performance, labels=labels, memory_mib=_MEMORY_MIB)
    (output / RESULT_FILE).write_text(counted.model_dump_json(), encoding="utf-8")
    tell("window_counted", start=question.start, rows=counted.rows, files=len(files), broken=len(counted.broken))
    return 0
