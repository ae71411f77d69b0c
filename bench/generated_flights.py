"""Flights as the airports of New York report them, drawn at random: as many rows as a benchmark asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb

#: Of `hash`, which DuckDB keeps stable within a version, each column takes a share of its own.
_DRAW: Final = """
    SELECT
      2013 + (i * 11 // {rows}) AS year,
      month(moment) AS month, day(moment) AS day,
      CASE WHEN draw(i, 1) % 50 > 0 THEN (hour(moment) * 100 + draw(i, 2) % 60)::DOUBLE END AS dep_time,
      hour(moment) * 100 + draw(i, 2) % 60 AS sched_dep_time,
      CASE WHEN draw(i, 1) % 50 > 0 THEN (draw(i, 3) % 90)::DOUBLE - 20 END AS dep_delay,
      CASE WHEN draw(i, 1) % 50 > 0 THEN ((hour(moment) + 2) % 24 * 100 + draw(i, 4) % 60)::DOUBLE END AS arr_time,
      (hour(moment) + 2) % 24 * 100 + draw(i, 4) % 60 AS sched_arr_time,
      CASE WHEN draw(i, 1) % 50 > 0 THEN (draw(i, 3) % 90 + draw(i, 5) % 30)::DOUBLE - 40 END AS arr_delay,
      ['UA', 'AA', 'B6', 'DL', 'EV', 'MQ', 'US', 'WN', 'VX', 'FL'][1 + draw(i, 6) % 10] AS carrier,
      1 + draw(i, 7) % 6000 AS flight,
      'N' || (10000 + draw(i, 8) % 4000) AS tailnum,
      ['EWR', 'JFK', 'LGA'][1 + draw(i, 9) % 3] AS origin,
      chr((65 + draw(i, 10) % 26)::INT) || chr((65 + draw(i, 11) % 4)::INT) || 'X' AS dest,
      CASE WHEN draw(i, 1) % 50 > 0 THEN (30 + draw(i, 12) % 400)::DOUBLE END AS air_time,
      (80 + draw(i, 12) % 4000)::DOUBLE AS distance,
      hour(moment) AS hour, draw(i, 2) % 60 AS minute,
      strftime(date_trunc('hour', moment), '%Y-%m-%dT%H:00:00Z') AS time_hour
    FROM (SELECT i, TIMESTAMP '2013-01-01 05:00:00' + INTERVAL (i * 10 * 365 * 24 * 60 // {rows}) MINUTE AS moment
          FROM (SELECT CASE WHEN n % 200 = 199 THEN n - 1 ELSE n END AS i FROM range({start}, {stop}) AS t(n)))
"""


def write_raw_flights(folder: Path, *, rows: int, files: int) -> list[Path]:
    """Write CSV files with a header; one row in two hundred repeats the one before it."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"flights-{number:02d}.csv" for number in range(files)]
    with duckdb.connect() as connection:
        connection.execute("CREATE MACRO draw(i, salt) AS (hash(i * 31 + salt) // 8)::BIGINT")
        for number, path in enumerate(paths):
            query = _DRAW.format(rows=rows, start=number * rows // files, stop=(number + 1) * rows // files)
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT csv, HEADER)")
    return paths
