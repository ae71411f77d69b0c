"""Labels of accepted files, found again for the predictions that were made of the same rows: by DuckDB.

A prediction and a row are of the same thing where the row names the prediction's request (`data.inference_id`), or else
where they have the same entity and, where callers send the contract's event time, the same moment of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from passerelle.aws.parquet_file import SETTINGS, quoted
from passerelle.contracts.monitoring import CountQuestion
from passerelle.contracts.prediction import INPUT
from passerelle.domain.features.query import quoted as quoted_name
from passerelle.domain.project import Project

#: Of a window's labels: what they are of, the label as models learn it, and the accepted file that told it. Where two
#: were told, there is none.
COLUMNS: Final = ("inference_id", "request_row", "label", "file")


#: Bytes that SHA-256 takes at once.
_BLOCK: Final = 64


@dataclass(frozen=True)
class Joined:
    """What became of a window: how many predictions have a label now, by the file that told it, and how many were told
    two different ones.
    """

    labelled: dict[str, int]
    conflicts: int


class LabelFiles:
    """What accepted files tell: added one by one, the oldest first, and then joined to windows.

    What a later file says of the same thing holds. A file that was added is needed no longer. `folder` takes what does
    not fit into `memory_mib`.
    """

    def __init__(self, project: Project, folder: Path, *, memory_mib: int, hash_key: bytes = b"") -> None:
        self._project, self._hash_key, self._names = project, hash_key, list[str]()
        self._connection = duckdb.connect(
            ":memory:", config={**SETTINGS, "temp_directory": str(folder), "memory_limit": f"{memory_mib}MiB"}
        )

    def add(self, path: Path, name: str) -> None:
        """Read a file's labels; `name` tells it apart."""
        found = f"SELECT * FROM ({self._select(path, len(self._names))}) WHERE label IS NOT NULL"
        self._connection.execute(f"INSERT INTO rows {found}" if self._names else f"CREATE TEMP TABLE rows AS {found}")
        self._names.append(name)

    def all_added(self) -> None:
        """Find out what is told of each thing; nothing can be added any more."""
        last = "arg_max(label, place) AS label, max(place) AS place, count(DISTINCT label) > 1 AS conflict"
        self._connection.execute(
            f"CREATE TEMP TABLE told AS SELECT entity, moment, {last} FROM rows "
            "WHERE request IS NULL AND entity IS NOT NULL GROUP BY entity, moment"
        )
        self._connection.execute(
            f"CREATE TEMP TABLE told_of_requests AS SELECT request, {last} FROM rows "
            "WHERE request IS NOT NULL GROUP BY request"
        )
        self._connection.execute("DROP TABLE rows")

    def join(self, records: Sequence[Path], question: CountQuestion, target: Path) -> Joined:
        """Write the labels of a window's predictions to a Parquet file; none is written where there are none."""
        listed = ", ".join(quoted(str(path)) for path in records)
        relation = f"read_parquet([{listed}], union_by_name = true)"
        names = {row[0] for row in self._connection.execute(f"DESCRIBE FROM {relation}").fetchall()}
        time = f"{INPUT}{self._project.data.event_time.lower()}"
        within = (
            f"event_time >= CAST({quoted(question.start)} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AND event_time < "
            f"CAST({quoted(question.end)} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AND variant = {quoted(question.variant)}"
        )
        moment = quoted_name(time) if time in names else "NULL::TIMESTAMP"
        self._connection.execute(
            "CREATE OR REPLACE TEMP TABLE asked AS SELECT DISTINCT inference_id, request_row, entity_id, "
            f"{moment} AS moment FROM {relation} WHERE {within}"
        )
        # A request's only row, or its first, needs no number.
        found = " UNION ALL ".join(
            f"SELECT inference_id, request_row, label, place, conflict FROM asked JOIN {told}"
            for told in (
                "told ON entity_id = entity AND (asked.moment IS NULL OR asked.moment = told.moment)",
                "told_of_requests ON request = inference_id || '#' || request_row",
                "told_of_requests ON request = inference_id AND request_row = 0",
            )
        )
        # Without a moment every row of the entity is meant: where these do not agree, nobody knows which.
        self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE joined AS SELECT inference_id, request_row, min(label) AS label, "
            "min(place) AS place, bool_or(conflict) OR count(DISTINCT label) > 1 AS conflict "
            f"FROM ({found}) GROUP BY inference_id, request_row"
        )
        counts = self._connection.execute(
            "SELECT place, count(*) FILTER (NOT conflict), count(*) FILTER (conflict) FROM joined GROUP BY place"
        ).fetchall()
        if counts:
            self._connection.execute(
                "COPY (SELECT inference_id, request_row, CASE WHEN NOT conflict THEN label END AS label, "
                f"list_extract({self._listed_names()}, place + 1) AS file FROM joined ORDER BY ALL) "
                f"TO {quoted(str(target))} (FORMAT parquet, COMPRESSION zstd)"
            )
        labelled = {self._names[place]: told for place, told, _ in counts}
        return Joined(labelled=labelled, conflicts=sum(two for *_, two in counts))

    def _listed_names(self) -> str:
        return f"[{', '.join(quoted(name) for name in self._names)}]"

    def _select(self, path: Path, place: int) -> str:
        project = self._project
        texts = [f"CAST({quoted_name(column)} AS VARCHAR)" for column in project.data.entity_id]
        entity = " || '|' || ".join(f"coalesce({text}, '')" for text in texts)
        spelt = self._keyed_hash(entity) if self._hash_key else entity
        moment = f"CAST({quoted_name(project.data.event_time)} AS TIMESTAMP)"
        request = f"CAST({quoted_name(project.data.inference_id)} AS VARCHAR)" if project.data.inference_id else "NULL"
        return (
            f"SELECT CASE WHEN coalesce({', '.join(texts)}) IS NOT NULL THEN {spelt} END AS entity, "
            f"{moment} AS moment, nullif({request}, '') AS request, {self._label()} AS label, "
            f"{place} AS place FROM read_parquet({quoted(str(path))})"
        )

    def _label(self) -> str:
        """Return the label as models learn it: 0 or 1, the class by its name, or the number."""
        label, column = self._project.data.label, quoted_name(self._project.data.label.column)
        if self._project.task.type == "regression":
            return f"CAST({column} AS DOUBLE)"
        if self._project.task.type == "multiclass":
            return f"CAST({column} AS VARCHAR)"
        comparison = label.comparison()
        if comparison:
            sign, bound = comparison
            return f"CAST({column} {'=' if sign == '==' else sign} {bound!r} AS DOUBLE)"
        word = str(label.positive).lower() if isinstance(label.positive, bool) else str(label.positive)
        return f"CAST(CAST({column} AS VARCHAR) = {quoted(word)} AS DOUBLE)"

    def _keyed_hash(self, text: str) -> str:
        """Return SQL for a personal entity as `domain.predictions.records` spells it: HMAC-SHA-256 (RFC 2104, 2)."""
        key = self._hash_key if len(self._hash_key) <= _BLOCK else hashlib.sha256(self._hash_key).digest()
        inner, outer = (bytes(byte ^ pad for byte in key.ljust(_BLOCK, b"\0")) for pad in (0x36, 0x5C))
        project = f"{self._project.name}\0".encode()
        return f"sha256({_blob(outer)} || unhex(sha256({_blob(inner + project)} || encode({text}))))"

    def __enter__(self) -> LabelFiles:
        return self

    def __exit__(self, *_: Any) -> None:
        self._connection.close()


def _blob(value: bytes) -> str:
    """Return bytes as SQL."""
    return "'" + "".join(f"\\x{byte:02X}" for byte in value) + "'::BLOB"
