"""What the local SageMaker remembers: documents in one SQLite file, written through, so a crash loses nothing."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from passerelle.errors import PasserelleError

Document = dict[str, Any]


class KeyExistsError(PasserelleError):
    """A document of that kind and name exists."""


class Store:
    """Documents by kind and name; safe to use from several threads of one process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # WAL with NORMAL survives a killed process; only a power cut may lose the last transaction.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS documents (kind TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, name))"
        )

    def create(self, kind: str, name: str, document: Document) -> None:
        """Add a document.

        Raises KeyExistsError when there is one of that kind and name.
        """
        with self._lock:
            try:
                self._db.execute("INSERT INTO documents VALUES (?, ?, ?)", (kind, name, _encode(document)))
            except sqlite3.IntegrityError as error:
                raise KeyExistsError(f"{kind} {name} exists") from error

    def get(self, kind: str, name: str) -> Document | None:
        """Return a document, or None."""
        with self._lock:
            row = self._db.execute("SELECT body FROM documents WHERE kind = ? AND name = ?", (kind, name)).fetchone()
        return _decode(row[0]) if row else None

    def update(self, kind: str, name: str, mutate: Callable[[Document], Document | None]) -> Document:
        """Change a document in one step and return it; `mutate` may change it in place.

        Raises KeyError when it does not exist.
        """
        with self._lock:
            document = self.get(kind, name)
            if document is None:
                raise KeyError(f"{kind} {name}")
            changed = mutate(document)
            document = document if changed is None else changed
            self._db.execute(
                "UPDATE documents SET body = ? WHERE kind = ? AND name = ?", (_encode(document), kind, name)
            )
            return document

    def delete(self, kind: str, name: str) -> None:
        """Remove a document, if it exists."""
        with self._lock:
            self._db.execute("DELETE FROM documents WHERE kind = ? AND name = ?", (kind, name))

    def all(self, kind: str) -> list[Document]:
        """Return every document of a kind, by name."""
        with self._lock:
            rows = self._db.execute("SELECT body FROM documents WHERE kind = ? ORDER BY name", (kind,)).fetchall()
        return [_decode(body) for (body,) in rows]

    def close(self) -> None:
        with self._lock:
            self._db.close()


#: A time is stored as {_TIME: ISO 8601}. Users name keys too (tags, Environment), so theirs may begin with _ESCAPE.
_TIME: Final = "__time__"
_ESCAPE: Final = "="


def _encode(document: Document) -> str:
    return json.dumps(_stored(document))


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return {_TIME: value.astimezone(UTC).isoformat()}
    if isinstance(value, dict):
        return {_stored_key(key): _stored(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_stored(item) for item in value]
    return value


def _stored_key(key: str) -> str:
    return _ESCAPE + key if key == _TIME or key.startswith(_ESCAPE) else key


def _decode(text: str) -> Document:
    document = json.loads(text, object_hook=_restored)
    assert isinstance(document, dict)
    return document


def _restored(document: dict[str, Any]) -> Any:
    if document.keys() == {_TIME}:
        return datetime.fromisoformat(document[_TIME])
    return {key.removeprefix(_ESCAPE): value for key, value in document.items()}
