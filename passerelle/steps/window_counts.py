"""What the records of a window count: here, or in a processing job where they are too many for a function."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from passerelle.aws.clients import client
from passerelle.aws.objects import Listed, Objects
from passerelle.aws.recorded_window import count_window, recorded_name
from passerelle.contracts import zones
from passerelle.contracts.container import PERFORMANCE_FILE, QUESTION_FILE, REFERENCE_FILE, RESULT_FILE
from passerelle.contracts.monitoring import LABELS_FILE, CountedWindow, CountQuestion
from passerelle.contracts.prediction import prediction_columns
from passerelle.contracts.variants import VARIANT
from passerelle.domain.drift.reference import Reference
from passerelle.domain.monitoring.windows import Window
from passerelle.domain.requests.manifest import manifest
from passerelle.domain.requests.watch import count_job
from passerelle.errors import NotFoundError
from passerelle.settings import WatchDriftSettings
from passerelle.steps.judge_shadow import judge_place
from passerelle.steps.project_source import DeployedProject
from passerelle.steps.served_references import Served

#: What was written before a window began holds nothing of it, but for clocks that go wrong by less than this.
_SKEW: Final = timedelta(hours=1)
#: Of a function's memory, what counting may use; the rest is Python's and the files' own.
_MEMORY_MIB: Final = 900


@dataclass(frozen=True)
class Records:
    """The files that may hold a window's records; `labels` is the key of what is known of their labels, "" for nothing.

    `source` names them with their sizes and what they are counted by.
    """

    keys: tuple[str, ...]
    bytes: int
    source: str
    labels: str = ""


class WindowCounts:
    """The windows of one project."""

    def __init__(self, deployed: DeployedProject, settings: WatchDriftSettings) -> None:
        self._deployed, self._settings, self._objects = deployed, settings, Objects(client("s3"))
        self._listed: dict[str, list[Listed]] = {}

    def records(self, window: Window, served: Served) -> Records:
        """Return the files that may hold records of a window."""
        found = [item for day in window.days for item in self._of_day(day) if item.modified >= window.start - _SKEW]
        reference = served.reference.layout.id if served.reference else ""
        performance = served.performance.id if served.performance else ""
        labels = list(self._objects.listed(self._settings.zones["curated"], self._labels(window)))
        named = [served.version, reference, performance, *(f"{item.key} {item.bytes}" for item in found)]
        named += [f"{item.key} {item.modified.isoformat()}" for item in labels]
        digest = hashlib.sha256("\n".join(named).encode()).hexdigest()[:16]
        told = labels[0].key if labels else ""
        return Records(tuple(item.key for item in found), sum(item.bytes for item in found), digest, told)

    def counted(self, window: Window, served: Served, reference: Reference, records: Records) -> CountedWindow | None:
        """Return what a window's records count, None where a job is to count them (`job`)."""
        if not records.keys:
            return CountedWindow(rows=0, delivered=0)
        if records.bytes > self._settings.job_from_mib * 2**20:
            return self._of_job(window, records)
        with tempfile.TemporaryDirectory() as folder:
            files = self._download(records.keys, Path(folder))
            question = _question(window, served)
            labels = self._download_labels(records, Path(folder))
            return count_window(files, question, reference, served.performance, labels=labels, memory_mib=_MEMORY_MIB)

    def job(
        self, window: Window, served: Served, reference: Reference, records: Records, execution: str
    ) -> dict[str, Any]:
        """Return the request of the job that counts a window for an execution, its question written down."""
        curated, folder = self._settings.zones["curated"], self._folder(window, records)
        question = _question(window, served).model_dump_json().encode()
        self._objects.write(curated, f"{folder}/question/{QUESTION_FILE}", question)
        self._objects.write(curated, f"{folder}/question/{REFERENCE_FILE}", reference.to_json().encode())
        if served.performance is not None:
            text = served.performance.to_json().encode()
            self._objects.write(curated, f"{folder}/question/{PERFORMANCE_FILE}", text)
        bucket_uri = zones.s3_uri(self._settings.zones["predictions"], "")
        self._objects.write(curated, f"{folder}/records.manifest", manifest(bucket_uri, records.keys))
        return count_job(
            judge_place(self._settings),
            self._deployed.project,
            window,
            hashlib.sha256(f"{records.source} {execution}".encode()).hexdigest(),
            project_uri=self._deployed.uri,
            records=zones.s3_uri(curated, f"{folder}/records.manifest"),
            folder=zones.s3_uri(curated, folder),
            labels=zones.s3_uri(curated, records.labels) if records.labels else "",
        )

    def comparable(self, reference: Reference) -> Reference:
        """Return a reference of the columns that records have: those that callers send, and the answers."""
        project = self._deployed.project
        inputs = ((column.name, column.type) for column in project.derivable_columns)
        recorded = {name for name, _ in prediction_columns(inputs, project.task.type)}
        return reference.only([name for name in reference.layout.columns if recorded_name(name) in recorded])

    def _of_job(self, window: Window, records: Records) -> CountedWindow | None:
        key = f"{self._folder(window, records)}/result/{RESULT_FILE}"
        try:
            return CountedWindow.model_validate_json(self._objects.read(self._settings.zones["curated"], key))
        except NotFoundError:
            return None

    def _folder(self, window: Window, records: Records) -> str:
        return zones.counted_prefix(self._deployed.project.name, window.name, records.source)

    def _labels(self, window: Window) -> str:
        return f"{zones.labels_prefix(self._deployed.project.name, window.name)}/"

    def _download_labels(self, records: Records, folder: Path) -> Path | None:
        if not records.labels:
            return None
        target = folder / "labels" / LABELS_FILE
        return self._objects.download(self._settings.zones["curated"], records.labels, target)

    def _of_day(self, day: str) -> list[Listed]:
        if day not in self._listed:
            prefix = f"{zones.prediction_records_prefix(self._deployed.project.name)}/{day}/"
            self._listed[day] = list(self._objects.listed(self._settings.zones["predictions"], prefix))
        return self._listed[day]

    def _download(self, keys: Sequence[str], folder: Path) -> list[Path]:
        """Return the files; one that is gone meanwhile (its time to be kept is over) is left out."""
        files = list[Path]()
        for number, key in enumerate(keys):
            path = folder / f"{number:06}-{key.rsplit('/', 1)[1]}"
            try:
                files.append(self._objects.download(self._settings.zones["predictions"], key, path))
            except NotFoundError:
                continue
        return files


def _question(window: Window, served: Served) -> CountQuestion:
    start, end = window.start.isoformat(), window.end.isoformat()
    return CountQuestion(start=start, end=end, variant=VARIANT, version=served.version)
