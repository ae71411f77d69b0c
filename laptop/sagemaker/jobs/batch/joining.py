"""DataProcessing of a transform job: what the model sees of a record, and what is kept of it beside the answer.

Developer guide, "Associate Prediction Results with Input Records"; API reference, DataProcessing.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from laptop.sagemaker.jobs.batch.failures import ObjectError
from laptop.sagemaker.jobs.batch.jsonpath import JsonPath, JsonPathError

CSV: Final = "text/csv"
JSON: Final = "application/json"
JSON_LINES: Final = "application/jsonlines"
#: "You can use input files in JSON and CSV format only."
KINDS: Final = (CSV, JSON, JSON_LINES)
OUTPUT, INPUT = "SageMakerOutput", "SageMakerInput"


def kind_of(content_type: str) -> str:
    """Return a content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Joining:
    """The filters and the join of one job; `lines` when each line is a record, else the whole body is one."""

    kind: str
    lines: bool
    join: bool
    before: JsonPath
    after: JsonPath

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> Joining | None:
        """Return what a job asks for, None when it takes and keeps everything as it is.

        Raises JsonPathError for a filter that is not supported.
        """
        wanted, source = job.get("DataProcessing") or {}, job["TransformInput"]
        joining = cls(
            kind=kind_of(source.get("ContentType", "")),
            lines=source.get("SplitType", "None") == "Line",
            join=wanted.get("JoinSource") == "Input",
            before=JsonPath.parse(wanted.get("InputFilter") or "$"),
            after=JsonPath.parse(wanted.get("OutputFilter") or "$"),
        )
        return joining if joining.join or not joining.before.whole or not joining.after.whole else None

    def request(self, body: bytes) -> bytes:
        """Return what is sent of a batch.

        Raises ObjectError for a record that has not what InputFilter names.
        """
        if self.before.whole:
            return body
        return self._written([_picked(self.before, record) for record in self._read(body, "input")])

    def result(self, body: bytes, answer: bytes) -> bytes:
        """Return what is kept of a batch and its answer.

        Raises ObjectError when records and answers do not fit.
        """
        answers = self._read(answer, "output")
        if self.join:
            records = self._read(body, "input")
            if len(records) != len(answers):
                raise ObjectError(
                    "ClientError",
                    f"Fail to join data: mismatched line count between the input ({len(records)}) and the output "
                    f"({len(answers)})",
                )
            answers = [self._joined(record, found) for record, found in zip(records, answers, strict=True)]
        return self._written([_picked(self.after, found) for found in answers])

    def _joined(self, record: Any, answer: Any) -> Any:
        if self.kind == CSV:
            return [*record, *answer]
        return record | {OUTPUT: answer} if isinstance(record, dict) else {INPUT: record, OUTPUT: answer}

    def _read(self, body: bytes, what: str) -> list[Any]:
        try:
            text = body.decode("utf-8")
            if self.kind == CSV:
                return [row for row in csv.reader(io.StringIO(text)) if row]
            if not self.lines:
                return [json.loads(text)]
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        except (ValueError, csv.Error) as error:
            form = "CSV" if self.kind == CSV else "JSON"
            raise ObjectError("ClientError", f"Failed to parse {what} as {form}: {error}") from error

    def _written(self, records: list[Any]) -> bytes:
        if self.kind == CSV:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(
                record if isinstance(record, list) else [record] for record in records
            )
            return text.getvalue().encode()
        end = "\n" if self.lines else ""
        return "".join(json.dumps(record, ensure_ascii=False) + end for record in records).encode()


def _picked(path: JsonPath, record: Any) -> Any:
    try:
        return path.select(record)
    except JsonPathError as error:
        raise ObjectError("ClientError", str(error)) from error
