"""The ledger's Parquet files in the reports zone: a project's day is one file, written whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from passerelle.aws.objects import Objects
from passerelle.aws.parquet_file import SETTINGS, quoted, write_parquet
from passerelle.contracts import zones
from passerelle.contracts.ledger import COLUMNS, Charge
from passerelle.errors import InputError, NotFoundError

_PARQUET = "application/vnd.apache.parquet"


class LedgerFiles:
    """The ledger of an environment."""

    def __init__(self, objects: Objects, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def days(self, project: str) -> list[str]:
        """Return the days of a project that have lines, the first first."""
        prefix = f"{zones.ledger_prefix(project)}/"
        return sorted(key.split("/")[-2] for key in self._objects.keys(self._bucket, prefix))

    def read(self, project: str, day: str) -> list[Charge]:
        """Return the lines of a day, none where it has no file.

        Raises InputError for a file that is none of the ledger's.
        """
        key = zones.ledger_key(project, day)
        try:
            body = self._objects.read(self._bucket, key)
        except NotFoundError:
            return []
        try:
            return _charges(body)
        except ValueError as error:
            raise InputError(
                f"s3://{self._bucket}/{key} is no file of the ledger: {error} Delete it (its older versions stay), and "
                f"meter the day again: `passerelle cost ledger --meter {day}`."
            ) from error

    def read_all(self, project: str, days: Iterable[str]) -> list[Charge]:
        """Return the lines of several days, each once: of an execution that was redriven another day, the last one."""
        return list({charge.id: charge for day in days for charge in self.read(project, day)}.values())

    def write(self, project: str, day: str, charges: Sequence[Charge]) -> None:
        """Write a day anew."""
        with tempfile.TemporaryDirectory() as folder:
            rows = (charge.model_dump() for charge in charges)
            body = write_parquet(Path(folder) / "charges.parquet", COLUMNS, rows).read_bytes()
        self._objects.write(self._bucket, zones.ledger_key(project, day), body, content_type=_PARQUET)


def _charges(body: bytes) -> list[Charge]:
    """Raises ValueError for a file that holds no lines."""
    import duckdb

    moments = [name for name, type_ in COLUMNS if type_ == "datetime"]
    shown = ", ".join(f"strftime({name}, '%Y-%m-%dT%H:%M:%SZ') AS {name}" for name in moments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "charges.parquet"
        path.write_bytes(body)
        try:
            with duckdb.connect(":memory:", config={**SETTINGS}) as connection:
                found = connection.execute(f"SELECT * REPLACE ({shown}) FROM read_parquet({quoted(str(path))})")
                names = [column[0] for column in found.description or ()]
                rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        except duckdb.Error as error:
            raise ValueError(str(error)) from error
    return [Charge.model_validate(row) for row in rows]
