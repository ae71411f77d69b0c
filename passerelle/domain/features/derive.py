"""Compute a request's features, as those of the training data were computed: DuckDB runs the same expressions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from passerelle.contracts.bundle import BundleSignature, ColumnType, DerivedFeature
from passerelle.domain.features.query import read_columns, served_query
from passerelle.errors import BundleError

Columns = Mapping[str, Sequence[Any]]
#: One thread, because requests are answered side by side; no file, network or extension: a query computes only.
_SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": 1,
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class Deriver:
    """Derives features of rows; safe to call from several threads.

    Raises duckdb.Error when DuckDB does not know an expression.
    """

    def __init__(self, derived: Sequence[DerivedFeature]) -> None:
        # Imported here: a server without derived features does without.
        import duckdb

        self._derived, self._reads = tuple(derived), read_columns(derived)
        self._query = served_query(derived)
        self._connection = duckdb.connect(config=_SETTINGS)
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        self._local = threading.local()
        self.derive({column.name: [None] for column in self._reads})

    def derive(self, columns: Columns) -> dict[str, list[Any]]:
        """Return the features of checked columns, as such: numbers and booleans as floats, None for missing ones."""
        sent = [list(map(_SENT[column.type], columns[column.name])) for column in self._reads]
        rows = self._cursor().execute(self._query, sent).fetchall()
        values = zip(*rows, strict=True) if rows else ([] for _ in self._derived)
        return {
            feature.name: [_plain(value) for value in column]
            for feature, column in zip(self._derived, values, strict=True)
        }

    def _cursor(self) -> Any:
        """Return this thread's connection: one connection runs one query at a time."""
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._connection.cursor()
            # For a row or two, thinking about the query takes longer than running it.
            self._local.cursor.execute("PRAGMA disable_optimizer")
        return self._local.cursor


class ModelColumns:
    """From what a caller sends to what the model sees: the same columns, unless features are derived of them.

    Raises BundleError for features that cannot be derived here.
    """

    def __init__(self, signature: BundleSignature) -> None:
        self._names = [column.name for column in signature.model_inputs]
        try:
            self._deriver = Deriver(signature.derived) if signature.derived else None
        except Exception as error:  # DuckDB's, or that there is none here
            raise BundleError(
                f"signature.json: its features cannot be derived: {str(error).splitlines()[0]}. "
                "Deploy the image that trained the model."
            ) from error

    def __call__(self, columns: Columns) -> Columns:
        """Return the model's columns of a request's checked ones."""
        if self._deriver is None:
            return columns
        known = {**columns, **self._deriver.derive(columns)}
        return {name: known[name] for name in self._names}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _text(value: Any) -> Any:
    return value


def _moment(value: Any) -> datetime | None:
    """Return a moment in UTC without a zone, as the training data has it."""
    if value is None:
        return None
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else float(value)


_SENT: Final[Mapping[ColumnType, Callable[[Any], Any]]] = {
    "integer": _number,
    "number": _number,
    "boolean": _number,
    "category": _text,
    "text": _text,
    "datetime": _moment,
}
