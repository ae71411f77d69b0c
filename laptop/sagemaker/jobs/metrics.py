"""The values that a training job's MetricDefinitions find in what its container prints."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

#: A line longer than this is searched in pieces: the log is never in memory as a whole.
LINE_BYTES: Final = 65_536


class LogMetrics:
    """Reads a log that may still grow, line by line; each call goes on where the last one ended."""

    def __init__(self, definitions: Sequence[Mapping[str, Any]], file: Path, *, start: int = 0) -> None:
        self._patterns = [(item["Name"], re.compile(item["Regex"])) for item in definitions]
        self._file, self._read = file, start

    def new_values(self, *, whole: bool = True) -> Iterator[tuple[str, float]]:
        """Yield (metric, value) in the order of the log.

        With `whole` false, a last line without its end is left for the next call: it is still being written.
        """
        try:
            file = self._file.open("rb")
        except OSError:
            return
        with file:
            file.seek(self._read)
            for line in self._lines(file, whole):
                for name, pattern in self._patterns:
                    for value in values_in(pattern, line):
                        yield name, value

    def _lines(self, file: BinaryIO, whole: bool) -> Iterator[str]:
        while raw := file.readline(LINE_BYTES):
            if not whole and len(raw) < LINE_BYTES and not raw.endswith(b"\n"):
                return
            self._read += len(raw)
            yield raw.decode("utf-8", "replace")


def values_in(pattern: re.Pattern[str], line: str) -> Iterator[float]:
    """Yield the numbers that a metric's expression finds: its first group, or the whole match when it has none.

    What is no finite number is no value: a loss of nan cannot be compared.
    """
    for match in pattern.finditer(line):
        try:
            value = float((match[1] if pattern.groups else match[0]) or "")
        except ValueError:
            continue
        if math.isfinite(value):
            yield value
