"""One subject of the drift benchmark's speed, alone in a process: the last line of its output is one JSON object.

    python -m bench.drift_speed SUBJECT FOLDER

`ours` makes the reference and judges the window, both raw; `stored` judges by a reference made before; `evidently` is
its DataDriftPreset, in an environment of its own; `import` and `import-evidently` only import; `stream` counts a
Parquet file by row groups, a thread for each core, and judges what they add up to.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path
from typing import Any, Final

import numpy as np

from passerelle.domain.drift.judged import judge
from passerelle.domain.drift.levels import Encoded
from passerelle.domain.drift.profile import Profile, count
from passerelle.domain.drift.reference import Reference, make_reference

NUMBERS: Final = 15
LEVELS: Final = (2, 3, 16, 100, 1_000)
PAIRED: Final = 6
ROUNDS: Final = {"ours": 7, "stored": 7, "evidently": 2}


def columns(rows: int, seed: int, numbers: int = NUMBERS, levels: tuple[int, ...] = LEVELS) -> dict[str, Any]:
    """Return columns of normal, lognormal, whole and missing numbers, and of levels by Zipf's law."""
    from bench.drift_windows import zipf

    rng = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for at in range(numbers):
        values = (rng.normal(at, 1 + at, rows), rng.lognormal(0, 1, rows), rng.integers(0, 24 * (at + 1), rows))[at % 3]
        if at % 5 == 0:
            values = np.where(rng.random(rows) < 0.02, np.nan, values)
        found[f"number_{at}"] = values
    return found | {f"level_{at}": zipf(rng, rows, many) for at, many in enumerate(levels)}


def types_of(names: list[str]) -> dict[str, Any]:
    """Return each column's type, as the contract has it."""
    return {name: "number" if name.startswith("number") else "category" for name in names}


def write_window(path: Path, rows: int, seed: int) -> Path:
    """Write a window as Parquet, as both environments' pandas read it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = {
        name: pa.array(values.decoded() if isinstance(values, Encoded) else values)
        for name, values in columns(rows, seed).items()
    }
    pq.write_table(pa.table(plain), path)
    return path


def memory_mb(what: str) -> float:
    """Return this process's resident memory (VmRSS) or its peak (VmHWM), in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024 / 1e6


def forget_peak() -> None:
    """Let the peak begin anew, at what is resident now (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def repeated(work: Callable[[], Any], rounds: int) -> dict[str, float]:
    """Return the times of some rounds (the median counts), their peak memory, and how much of it was not there before.

    Reading the frames is no part of any of it.
    """
    gc.collect()
    forget_peak()
    before, times, spent = memory_mb("VmRSS"), [], time.process_time()
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    processor, peak = (time.process_time() - spent) / rounds, memory_mb("VmHWM")
    return {"seconds": statistics.median(times), "processor_seconds": processor, "peak_mb": peak,
            "grown_mb": peak - before}  # fmt: skip


def compare(subject: str, folder: Path) -> dict[str, Any]:
    """Return what a subject takes for both windows, from the frames that pandas read."""
    import pandas as pd

    before, now = (pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "window"))
    types = types_of(list(before.columns))
    important = list(types)[-PAIRED:]
    if subject == "evidently":
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        definition = DataDefinition(
            numerical_columns=[name for name, type_ in types.items() if type_ == "number"],
            categorical_columns=[name for name, type_ in types.items() if type_ == "category"],
        )

        def work() -> Any:
            both = (Dataset.from_pandas(each, definition) for each in (now, before))
            return Report([DataDriftPreset()]).run(*both).dict()
    else:
        from passerelle.domain.drift.frames import from_pandas

        stored = make_reference(from_pandas(before), types, important).to_json() if subject == "stored" else None
        if stored is not None:
            del before

        def work() -> Any:
            made = Reference.from_json(stored) if stored else make_reference(from_pandas(before), types, important)
            return judge(made, count(made.layout, from_pandas(now))).to_dict()

    return repeated(work, ROUNDS[subject]) | {"pandas": pd.__version__}


def write_stream(folder: Path, rows: int, numbers: int, levels: tuple[int, ...], group: int) -> Path:
    """Write a Parquet file of so many rows by row groups, and a reference of its own rows of the first group's size."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, writer = folder / "stream.parquet", None
    for number, start in enumerate(range(0, rows, group)):
        chunk = columns(min(group, rows - start), number, numbers, levels)
        arrays = {
            name: pa.DictionaryArray.from_arrays(values.codes.astype(np.int32), values.levels)
            if isinstance(values, Encoded)
            else pa.array(values.astype(np.float64))
            for name, values in chunk.items()
        }
        table = pa.table(arrays)
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema, use_dictionary=[f"level_{at}" for at in range(len(levels))])
        writer.write_table(table, row_group_size=group)
    if writer is not None:
        writer.close()
    before = columns(group, -1 % 2**32, numbers, levels)
    reference = make_reference(before, types_of(list(before)), list(before)[-PAIRED:])
    (folder / "reference.json").write_text(reference.to_json(), encoding="utf-8")
    return path


def stream(folder: Path) -> dict[str, Any]:
    """Count a Parquet file by row groups, each thread one at a time, and judge their sum."""
    import pyarrow.parquet as pq

    from passerelle.domain.drift.frames import from_arrow

    reference = Reference.from_json((folder / "reference.json").read_text(encoding="utf-8"))
    path, threads = folder / "stream.parquet", int(os.environ.get("THREADS", "2"))
    named = pq.ParquetFile(path).schema_arrow.names
    levels = [name for name in named if name.startswith("level")]
    begun, spent = time.perf_counter(), time.process_time()

    def counted(first: int) -> Profile:
        file = pq.ParquetFile(path, read_dictionary=levels, memory_map=False, pre_buffer=False)
        found = None
        for group in range(first, file.num_row_groups, threads):
            profile = count(reference.layout, from_arrow(file.read_row_group(group, use_threads=False)))
            found = profile if found is None else found + profile
        return found or count(reference.layout, {})

    with ThreadPoolExecutor(threads) as pool:
        whole = reduce(Profile.__add__, pool.map(counted, range(threads)))
    drift = judge(reference, whole)
    seconds, processor = time.perf_counter() - begun, time.process_time() - spent
    figures = {"seconds": seconds, "processor_seconds": processor, "peak_mb": memory_mb("VmHWM"), "threads": threads}
    return figures | {"rows": drift.rows, "alarms": len(drift.alarms)}


def main() -> None:
    """Run one subject."""
    subject, folder = sys.argv[1], Path(sys.argv[2])
    print(json.dumps(stream(folder) if subject == "stream" else compare(subject, folder)))


if __name__ == "__main__":
    main()
