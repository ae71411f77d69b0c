"""A run's record must fit into one DynamoDB item; what is left out is counted, and lies whole in S3."""

from __future__ import annotations

from typing import Final, Literal

from passerelle.contracts.container import Problem
from passerelle.contracts.runs import RunRecord

#: DynamoDB's limit is 400 KB an item, names included (developer guide, "Constraints").
MAX_BYTES: Final = 350_000
_LIMITS: Final = (1000, 500, 200, 100, 50, 20)
_CODE: Final = {"problems": "problems_left_out", "files": "files_left_out"}
_REMEDY: Final = {
    "problems": "See the whole list in the quarantine zone's report.json of this run.",
    "files": "See the whole list in the drop.json of this run in the curated zone.",
}
Part = Literal["problems", "files"]


def fitting(record: RunRecord) -> RunRecord:
    """Return the record with as many problems and files as fit, and notes that count the others."""
    parts: tuple[Part, ...] = ("problems", "files")
    for part in parts:
        for limit in _LIMITS:
            if len(record.model_dump_json().encode()) <= MAX_BYTES:
                return record
            record = _shortened(record, part, limit)
    return record


def _shortened(record: RunRecord, part: Part, limit: int) -> RunRecord:
    before = sum(item.count for item in record.problems if item.code == _CODE[part])
    problems = tuple(item for item in record.problems if item.code != _CODE[part])
    whole = problems if part == "problems" else record.files
    left_out = before + max(0, len(whole) - limit)
    if not left_out:
        return record
    note = Problem(
        code=_CODE[part],
        severity="note",
        rule="a run's record fits into one item of the runs table",
        message=f"{left_out} more {part} are not listed here.",
        remedy=_REMEDY[part],
        count=left_out,
    )
    if part == "problems":
        return record.model_copy(update={"problems": (*problems[:limit], note)})
    return record.model_copy(update={"files": record.files[:limit], "problems": (*problems, note)})
