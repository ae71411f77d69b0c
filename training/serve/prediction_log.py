"""What was asked and answered, as lines of the log: how predictions are kept where SageMaker captures nothing.

A line is one JSON object: {"event": LOGGED, "time", "inference_id", "ms", "columns", "threshold", "run_id", "version",
"first_row", "rows": [[values, prediction, probabilities, decision], …]}. A large batch is several lines; `first_row` is
the place of their first row in the request. They are written before the answer goes out: afterwards SageMaker may
freeze a serverless container.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from passerelle.contracts.prediction import LOGGED
from training.serve.request_log import write_event, write_line

#: Docker hands log drivers lines of up to 16 KiB whole (moby, daemon/logger/copier.go).
MAX_LINE_BYTES: Final = 15_000
#: CloudWatch's limit for an event was 256 KiB for long, and Docker's own driver still splits there.
MAX_ROW_BYTES: Final = 200_000


def log_predictions(
    columns: Mapping[str, Sequence[Any]], document: Mapping[str, Any], inference_id: str, milliseconds: float
) -> None:
    """Write what was answered to these columns; a row that no line holds is told without its values."""
    for line in prediction_lines(columns, document, inference_id, milliseconds):
        if len(line) > MAX_ROW_BYTES:
            # Whoever reads the predictions counts it as one that is missing, and tells.
            write_event({"event": LOGGED, "inference_id": inference_id, "too_large": len(line)})
        else:
            write_line(line)


def prediction_lines(
    columns: Mapping[str, Sequence[Any]], document: Mapping[str, Any], inference_id: str, milliseconds: float
) -> Iterator[bytes]:
    """Yield lines of bounded size; a row that is larger has a line of its own."""
    about = document["model"]
    head = {
        "event": LOGGED,
        "time": datetime.now(UTC),
        "inference_id": inference_id,
        "ms": round(milliseconds, 3),
        "columns": list(columns),
        "threshold": document.get("threshold"),
        "run_id": about["run_id"],
        "version": about["version"],
    }
    begin = orjson.dumps(head, option=orjson.OPT_UTC_Z)[:-1]
    count = len(document["predictions"])
    empty = len(_line(begin, count, ()))
    nothing = [None] * count
    rows = zip(
        zip(*columns.values(), strict=True),
        document["predictions"],
        document.get("probabilities") or nothing,
        document.get("decisions") or nothing,
        strict=True,
    )
    first, held, size = 0, list[bytes](), empty
    for index, row in enumerate(rows):
        encoded = _encoded(row)
        if held and size + len(encoded) > MAX_LINE_BYTES:
            yield _line(begin, first, held)
            first, held, size = index, [], empty
        held.append(encoded)
        size += len(encoded) + 1
    yield _line(begin, first, held)


def _line(begin: bytes, first: int, rows: Sequence[bytes]) -> bytes:
    return b'%b,"first_row":%d,"rows":[%b]}\n' % (begin, first, b",".join(rows))


def _encoded(row: Sequence[Any]) -> bytes:
    """Return a row as JSON; a column that no model sees was not checked, and may hold what cannot be written again."""
    try:
        return orjson.dumps(row)
    except TypeError:
        values, *said = row
        return orjson.dumps([[value if _is_writable(value) else None for value in values], *said])


def _is_writable(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True
