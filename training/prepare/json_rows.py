"""JSON Lines: one object per line. Numbers keep the text they are written with; a key that a row lacks is empty."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from passerelle.domain.project import Project
from training.prepare.batches import RowBuffer
from training.prepare.limits import MAX_COLUMNS
from training.prepare.lines import Lines
from training.prepare.unreadable import too_wide, unreadable


class _Repeated(dict[str, Any]):
    """An object in which a key is written twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    return document if len(document) == len(pairs) else _Repeated(document)


_DECODE: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=str, strict=True
).decode


def json_batches(lines: Lines, project: Project, key: str, keys: dict[str, int]) -> Iterator[pa.RecordBatch]:
    """Yield the rows; `keys` fills with every key that is found and the first line that has it."""
    buffer = RowBuffer(project)
    names = [column.name for column in project.data.columns]
    for text in lines:
        line, raw = lines.count, lines.record()
        if not text.strip():
            continue
        document = _parsed(text)
        if document is None:
            _refuse_array(text, line, key, keys)
            buffer.add_whole(line, raw, "not_json")
        else:
            if not document.keys() <= keys.keys():
                _note_keys(document, keys, line, key)
            buffer.add(line, raw, *_cells(document, names))
        if buffer.full:
            yield from buffer.take()
    yield from buffer.take()


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        document = _DECODE(text.strip())
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _refuse_array(text: str, line: int, key: str, keys: dict[str, int]) -> None:
    """A pretty-printed array is a common mistake; its lines would each be refused for nothing."""
    if not keys and text.lstrip().startswith("["):
        message = "the file is a JSON array; JSON Lines has one object per line"
        remedy = "Write one object per line, without brackets and commas between them (jq -c '.[]')."
        raise unreadable("json_array", key, message, remedy, row=line)


def _note_keys(document: dict[str, Any], keys: dict[str, int], line: int, key: str) -> None:
    for name in document:
        keys.setdefault(name, line)
    if len(keys) > MAX_COLUMNS:
        raise too_wide(key, len(keys), MAX_COLUMNS, row=line)


def _cells(document: dict[str, Any], names: list[str]) -> tuple[list[str | None], list[str] | None]:
    cells = [document.get(name) for name in names]
    faults = ["repeated_key:"] if isinstance(document, _Repeated) else []
    for index, cell in enumerate(cells):
        if cell is None or isinstance(cell, str):
            continue
        if isinstance(cell, dict | list):
            faults.append(f"nested_value:{names[index]}")
        cells[index] = json.dumps(cell)
    return cells, faults or None
