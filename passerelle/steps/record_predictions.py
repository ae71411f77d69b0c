"""Make records of what an endpoint captured, or its server logged: a source at a time, in parts of bounded size.

An object that is announced twice is read twice and written to the same places. A prediction that lies in two objects
(the capture is delivered at least once) is one row for whoever reads (`contracts.prediction`).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from passerelle.aws.clients import client
from passerelle.aws.hash_key import hash_key
from passerelle.aws.objects import Objects
from passerelle.aws.parquet_file import write_parquet
from passerelle.contracts import naming, zones
from passerelle.contracts.prediction import PROBABILITIES
from passerelle.domain.predictions import (
    BrokenExchangeError,
    Exchange,
    Recorder,
    RefusedExchangeError,
    read_captured,
    read_logged,
)
from passerelle.domain.predictions.records import Record
from passerelle.errors import NotFoundError
from passerelle.settings import RecordPredictionsSettings
from passerelle.steps.project_source import read_project
from passerelle.steps.served_models import ServedModels

LOG: Final = logging.getLogger(__name__)
#: So many rows are held, and are a file at most.
PART_ROWS: Final = 20_000
#: Or fewer, which hold so many probabilities of several classes.
PART_NUMBERS: Final = 1_000_000
#: So many broken lines are named; all are counted.
_NAMED: Final = 1_000


@dataclass(frozen=True)
class Source:
    """Where lines come from; equal names are the same lines."""

    project: str
    variant: str
    uri: str


@dataclass
class _Told:
    """What became of the lines of one object."""

    records: int = 0
    refused: int = 0
    broken: int = 0
    reasons: list[dict[str, Any]] = field(default_factory=list)

    def broke(self, line: int, error: BrokenExchangeError) -> None:
        self.broken += 1
        if len(self.reasons) < _NAMED:
            self.reasons.append({"line": line, "reason": str(error)})


def record_predictions(event: dict[str, Any], settings: RecordPredictionsSettings) -> dict[str, Any]:
    """Handle an EventBridge event "Object Created" of the predictions zone, or lines of a server's log.

    Raises SettingsError when a personal entity has no key to be hashed with, NotFoundError when the project is not
    deployed; TransientError when AWS does not answer.
    """
    if "awslogs" in event:
        return _record_logged(event["awslogs"]["data"], settings)
    bucket, key = event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]
    captured = zones.captured_by(key)
    if captured is None:
        return {"outcome": "ignored", "why": "not a captured object"}
    try:
        chunks = Objects(client("s3")).chunks(bucket, key)
        begin = next(chunks, b"")
    except NotFoundError as error:
        return {"outcome": "ignored", "why": str(error)}
    lines = _lines(itertools.chain((begin,), chunks))
    source = Source(*captured, uri=zones.s3_uri(bucket, key))
    return _record(source, ((number, read_captured, line) for number, line in lines), settings)


def _record_logged(data: str, settings: RecordPredictionsSettings) -> dict[str, Any]:
    """Record what a subscription filter passes on: gzip of JSON (CloudWatch Logs user guide, "Subscription filters").

    The same lines delivered again are the same source: events keep their ids.
    """
    batch = json.loads(gzip.decompress(base64.b64decode(data)))
    group, events = str(batch["logGroup"]), batch["logEvents"]
    project = naming.project_of_log_group(settings.environment, group)
    if batch["messageType"] != "DATA_MESSAGE" or project is None:
        return {"outcome": "ignored", "why": "not lines of an endpoint's log"}
    variant = str(batch["logStream"]).partition("/")[0]
    ids = hashlib.sha256(" ".join(str(event["id"]) for event in events).encode()).hexdigest()
    source = Source(project, variant, uri=f"{group}/{batch['logStream']}/{ids}")
    lines = ((number, read_logged, event["message"]) for number, event in enumerate(events, 1))
    return _record(source, lines, settings)


def _record(
    source: Source, lines: Iterable[tuple[int, Callable[[Any], Exchange], Any]], settings: RecordPredictionsSettings
) -> dict[str, Any]:
    deployed = read_project(settings.environment, source.project).project
    recorder = Recorder(
        deployed,
        model=naming.registered_model_name(settings.environment, source.project),
        find_model=ServedModels(source.project, source.variant, settings).find,
        hash_key=hash_key(settings.hash_key_secret),
    )
    told = _Told()
    files = _write_parts(_records(lines, recorder, source.variant, told), recorder, source, settings)
    _tell(told, source, settings)
    counts = {"records": told.records, "files": files, "refused": told.refused, "broken": told.broken}
    return {"outcome": "recorded", "project": source.project, "variant": source.variant, **counts}


def _lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield lines with their numbers, from 1; the last one need not end."""
    rest, number = b"", 0
    for chunk in itertools.chain(chunks, (b"\n",)):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            if line.strip():
                yield number, line


def _records(
    lines: Iterable[tuple[int, Callable[[Any], Exchange], Any]], recorder: Recorder, variant: str, told: _Told
) -> Iterator[Record]:
    for number, read, line in lines:
        try:
            records = recorder.records(read(line), variant)
        except RefusedExchangeError:
            told.refused += 1
        except BrokenExchangeError as error:
            told.broke(number, error)
        else:
            told.records += len(records)
            yield from records


def _write_parts(
    records: Iterator[Record], recorder: Recorder, source: Source, settings: RecordPredictionsSettings
) -> int:
    """Write records by the day of their event; returns how many files they are."""
    objects, bucket, files = Objects(client("s3")), settings.zones["predictions"], 0
    for part in itertools.count():
        by_day: dict[str, list[Record]] = {}
        for record in _part(records):
            by_day.setdefault(str(record["event_time"])[:10], []).append(record)
        if not by_day:
            return files
        for day, rows in by_day.items():
            with tempfile.TemporaryDirectory() as folder:
                body = write_parquet(Path(folder) / "part.parquet", recorder.columns, rows).read_bytes()
            key = zones.prediction_records_key(source.project, day, source.uri, part)
            objects.write(bucket, key, body, content_type="application/vnd.apache.parquet")
            files += 1
    return files


def _part(records: Iterator[Record]) -> Iterator[Record]:
    """Yield the records of the next part."""
    numbers = 0
    for record in itertools.islice(records, PART_ROWS):
        yield record
        shares = record.get(PROBABILITIES)
        numbers += len(shares) if isinstance(shares, list) else 0
        if numbers >= PART_NUMBERS:
            return


def _tell(told: _Told, source: Source, settings: RecordPredictionsSettings) -> None:
    """Say which lines are no predictions and why. The lines stay where they lie: a copy might hold what is personal."""
    if not told.broken:
        return
    report = {"source": source.uri, "broken": told.broken, "lines": told.reasons}
    zone, key = settings.zones["quarantine"], zones.broken_predictions_key(source.project, source.uri)
    Objects(client("s3")).write(zone, key, json.dumps(report, indent=2).encode())
    LOG.error(
        "%s: %d of its lines are no predictions (%d were recorded): s3://%s/%s says which and why. First: %s",
        source.uri, told.broken, told.records, zone, key, told.reasons[0]["reason"],
    )  # fmt: skip
