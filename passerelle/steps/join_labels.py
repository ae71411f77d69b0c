"""Labels that became known with a drop, joined to the predictions that were made of the same rows, window by window.

What is joined is kept beside the window and makes it be judged again (`watch_drift`). A file is joined once; one that
replaces another takes its labels away with it.
"""

from __future__ import annotations

import errno
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.hash_key import hash_key
from passerelle.aws.joined_labels import LabelFiles
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable, utc_now
from passerelle.contracts import zones
from passerelle.contracts.container import DatasetFile
from passerelle.contracts.monitoring import JOINED, LABELS, LABELS_FILE, WINDOW, CountQuestion, WindowRecord
from passerelle.contracts.variants import VARIANT
from passerelle.domain.monitoring.windows import Window, window_named
from passerelle.domain.project import Project
from passerelle.errors import InputError, NotFoundError
from passerelle.settings import JoinLabelsSettings
from passerelle.steps.project_source import read_project
from passerelle.steps.project_watch import ProjectWatch

LOG: Final = logging.getLogger(__name__)
#: So many windows back labels are looked for.
_WINDOWS: Final = 400
#: Of a function's memory, what DuckDB may use; beyond it, it writes to the disk.
_MEMORY_MIB: Final = 1_200


def join_labels(request: dict[str, Any], settings: JoinLabelsSettings) -> dict[str, Any]:
    """Join the labels of files that were accepted since the last call; returns the request as it came.

    Raises TransientError when AWS does not answer, or somebody else judges the project's windows meanwhile.
    """
    try:
        project = read_project(settings.environment, str(request["project"])).project
    except NotFoundError:
        return request
    _Joining(project, settings).join()
    return request


class _Joining:
    def __init__(self, project: Project, settings: JoinLabelsSettings) -> None:
        self._project, self._settings = project, settings
        self._table = RunsTable(client("dynamodb"), settings.runs_table)
        self._objects = Objects(client("s3"))

    def join(self) -> None:
        windows = list(self._windows())
        if not windows:
            return
        with translated(f"files of {self._project.name}"):
            accepted = self._table.accepted_files(self._project.name)
            items = self._table.items(self._project.name, JOINED)
            reached = self._table.item(self._project.name, LABELS) or {}
        joined = {str(item["sk"]).removeprefix(JOINED): str(item["at"]) for item in items}
        new = [file for file in accepted if file.sha256 not in joined]
        if not new:
            # A label that came before its window was judged: of what was asked after the window began, that is.
            windows = [(window, record) for window, record in windows if window.name > str(reached.get("until", ""))]
            since = min((record.start for _, record in windows), default="")
            if not any(windows and joined[file.sha256] >= since for file in accepted):
                return
        with tempfile.TemporaryDirectory() as folder:
            touched, told = self._join(Path(folder), accepted, windows)
        ProjectWatch(self._project, self._table, self._settings.environment).look_again(touched)
        for file in new:
            LOG.info("%s: %d rows, labels of %d predictions", file.key, file.rows, told.get(file.sha256, 0))
            with translated(f"files of {self._project.name}"):
                self._table.put(
                    self._project.name,
                    f"{JOINED}{file.sha256}",
                    key=file.key,
                    rows=file.rows,
                    predictions=told.get(file.sha256, 0),
                    at=utc_now(),
                )
        with translated(f"windows of {self._project.name}"):
            self._table.put(self._project.name, LABELS, until=max(window.name for window, _ in windows))

    def _windows(self) -> Iterator[tuple[Window, WindowRecord]]:
        schedule = self._project.monitoring.schedule
        with translated(f"windows of {self._project.name}"):
            items = self._table.items(self._project.name, WINDOW, newest_first=True, limit=_WINDOWS)
        for item in items:
            record = WindowRecord.model_validate_json(item["record"])
            if record.rows:
                yield window_named(record.start, schedule), record

    def _join(
        self, folder: Path, accepted: Sequence[DatasetFile], windows: Sequence[tuple[Window, WindowRecord]]
    ) -> tuple[list[str], Counter[str]]:
        """Return the windows whose labels are others than before, and how many predictions each file told one."""
        key = hash_key(self._settings.hash_key_secret) if self._project.personal_entity else b""
        touched, told_by, days = list[str](), Counter[str](), dict[str, list[Path]]()
        with LabelFiles(self._project, folder, memory_mib=_MEMORY_MIB, hash_key=key) as told:
            if not self._add(told, accepted, folder / "told.parquet"):
                return [], Counter()
            for window, record in windows:
                for day in set(days) - set(window.days):
                    for path in days.pop(day):
                        path.unlink()
                records = [path for day in window.days for path in self._records(day, days, folder)]
                question = CountQuestion(
                    start=record.start, end=record.end, variant=VARIANT, version=str(record.version)
                )
                target = folder / "labels.parquet"
                target.unlink(missing_ok=True)
                if not records:
                    continue
                found = told.join(records, question, target)
                told_by.update(found.labelled)
                if target.exists() and self._keep(window, target):
                    touched.append(window.name)
                    labelled = sum(found.labelled.values())
                    LOG.info(
                        "%s: %d predictions have a label, %d two that differ", window.name, labelled, found.conflicts
                    )
        return touched, told_by

    def _add(self, told: LabelFiles, accepted: Sequence[DatasetFile], path: Path) -> bool:
        """Read the files one after the other, as not all may fit on the disk; returns whether there are any.

        Raises InputError for one that does not fit alone.
        """
        found = False
        for file in accepted:
            try:
                if self._download(file.curated_key, path, "curated") is None:
                    continue
                told.add(path, file.sha256)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                raise InputError(
                    f"{file.key} ({file.rows:,} rows) and what was read before it do not fit on this function's disk. "
                    "No label is joined until then: drop its rows again in several smaller files, and remove it."
                ) from error
            path.unlink()
            found = True
        if found:
            told.all_added()
        return found

    def _keep(self, window: Window, target: Path) -> bool:
        """Write a window's labels; returns False where they are there already."""
        key = f"{zones.labels_prefix(self._project.name, window.name)}/{LABELS_FILE}"
        body = target.read_bytes()
        try:
            if self._objects.read(self._settings.zones["curated"], key) == body:
                return False
        except NotFoundError:
            pass
        self._objects.write(self._settings.zones["curated"], key, body, content_type="application/vnd.apache.parquet")
        return True

    def _records(self, day: str, known: dict[str, list[Path]], folder: Path) -> list[Path]:
        if day not in known:
            prefix = f"{zones.prediction_records_prefix(self._project.name)}/{day}/"
            keys = list(self._objects.keys(self._settings.zones["predictions"], prefix))
            found = [
                self._download(key, folder / f"{day}-{number:06}.parquet", "predictions")
                for number, key in enumerate(keys)
            ]
            known[day] = [path for path in found if path is not None]
        return known[day]

    def _download(self, key: str, path: Path, zone: str) -> Path | None:
        """Return a file; None for one that is gone meanwhile."""
        try:
            return self._objects.download(self._settings.zones[zone], key, path)
        except NotFoundError:
            return None
