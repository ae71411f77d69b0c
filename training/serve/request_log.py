"""One JSON line for each request: when, status, rows, milliseconds, id. Never a value of the request: those are in the
lines of `prediction_log`, where the deployment asks for them."""

from __future__ import annotations

import os
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

STDOUT: Final = 1
MAX_PATH_CHARACTERS: Final = 100
_ONE_AT_A_TIME: Final = threading.Lock()


class Answer(NamedTuple):
    """What goes out, and what the log says of it: `rows` answered, the `code` of an error."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    rows: int = 0
    code: str | None = None


def log_request(path: str, answer: Answer, milliseconds: float, request_id: str) -> None:
    """Write the line of one request."""
    line: dict[str, Any] = {
        "event": "request",
        "path": path[:MAX_PATH_CHARACTERS],
        "status": answer.status,
        "rows": answer.rows,
        "ms": round(milliseconds, 3),
        "request_id": request_id,
    }
    if answer.code is not None:
        line["code"] = answer.code
    write_event(line)


def log_defect(error: BaseException, request_id: str) -> None:
    """Write where an unforeseen error came up. Its message stays out: it may quote the request."""
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    write_event({"event": "defect", "error": type(error).__name__, "where": where, "request_id": request_id})


def write_event(line: dict[str, Any]) -> None:
    """Write one line to standard output at once, past Python's buffers."""
    write_line(orjson.dumps({"time": datetime.now(UTC), **line}, option=orjson.OPT_UTC_Z) + b"\n")


def write_line(line: bytes) -> None:
    """Write a line whole: of several threads, one after the other, for a pipe takes no more than 4 KiB at once."""
    with _ONE_AT_A_TIME:
        try:
            while line:
                line = line[os.write(STDOUT, line) :]
        except OSError:
            return  # nobody reads the log any more: no reason to refuse a request
