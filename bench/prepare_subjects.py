"""One way of preparing files, alone in its process: python -m bench.prepare_subjects NAME FOLDER. Prints JSON.

All do the same work: every cell is read as a text, held to the contract of projects/flights and typed; bad rows go
aside with their reasons; equal rows become one; the label is derived; the newest rows are validation and test; the
parts are sorted by time and written as Parquet.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from passerelle.domain.project import Project, load_project

ROOT: Final = Path(__file__).resolve().parents[1]
PARTS: Final = ("train", "validation", "test")
#: Where the S3 of the benchmark answers, and the bucket that holds the files.
S3_VARIABLE: Final = "BENCH_S3_URL"
BUCKET: Final = "flights"
Read = Callable[[str], Any]
Write = Callable[[Any, str], None]


def read_contract(engine: str = "auto") -> Project:
    """Return the project whose contract the files keep."""
    path = ROOT / "projects" / "flights" / "project.yaml"
    project = load_project(path.read_text(encoding="utf-8"), source=str(path))
    return project.model_copy(update={"data": project.data.model_copy(update={"engine": engine})})


def passerelle(folder: Path, engine: str) -> int:
    """Prepare with our entry; returns the rows of the parts."""
    from passerelle.contracts.container import DropFile, DropManifest
    from training.prepare.main import Folders, prepare

    class Disk:
        def download(self, bucket: str, key: str, path: Path, version_id: str | None = None) -> Path:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(folder / "raw" / key, path)
            return path

        def keys(self, bucket: str, prefix: str) -> tuple[str, ...]:
            return ()  # no dataset was prepared before

    def claimed(path: Path) -> DropFile:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return DropFile(bucket="raw", key=path.name, version_id=None, size=path.stat().st_size, sha256=sha256)

    out = folder / f"passerelle-{engine}"
    folders = Folders(**{name: out / name for name in ("result", "quarantine", "curated", "work")})
    for path in vars(folders).values():
        path.mkdir(parents=True)
    files = tuple(claimed(path) for path in sorted((folder / "raw").glob("*.csv")))
    zones = {name: name for name in ("raw", "curated", "quarantine")}
    manifest = DropManifest(project="flights", run_id="bench", attempt=1, zones=zones, new_files=files)
    with contextlib.redirect_stdout(io.StringIO()):
        result = prepare(manifest, read_contract(engine), Disk(), folders)  # type: ignore[arg-type]
    assert result.status == "accepted", result.problems
    return sum(part.rows for part in result.split.values())


def pandas_program(names: list[str], read: Read, write: Write) -> int:
    """Prepare as one does with pandas; returns the rows of the parts."""
    import pandas as pd

    from bench.prepare_pandas import typed_rows

    project = read_contract()
    good = []
    for name in names:
        rows, bad = typed_rows(read(name), project)
        if len(bad):
            write(bad, f"quarantine/{name}")
        good.append(rows)
    table = pd.concat(good, ignore_index=True)
    del good
    table = table.drop_duplicates()
    table = table[table["arr_delay"].notna() & table["time_hour"].notna()]
    entity = table["carrier"].str.cat(
        [table[name].astype("str") for name in ("flight", "origin", "time_hour")], sep="|"
    )
    features = [column.name for column in project.feature_columns]
    label = (table["arr_delay"] > 15).astype("int8")
    table = table[[*features, "time_hour"]].assign(__label=label, __event_time=table["time_hour"], __entity=entity)
    first, second = table["__event_time"].quantile([0.7, 0.85], interpolation="lower")
    moment = table["__event_time"]
    masks = (moment < first, (moment >= first) & (moment < second), moment >= second)
    for part, mask in zip(PARTS, masks, strict=True):
        write(table[mask].sort_values(["__event_time", "__entity"]), part)
    return len(table)


def pandas(folder: Path) -> int:
    """Prepare with pandas on the local disk."""
    import pandas as pd

    def read(name: str) -> Any:
        return pd.read_csv(folder / "raw" / name, dtype="str", keep_default_na=False)

    def write(table: Any, name: str) -> None:
        path = folder / "pandas" / name / "part-0.parquet"
        path.parent.mkdir(parents=True)
        table.to_parquet(path, index=False, compression="zstd")

    return pandas_program(sorted(path.name for path in (folder / "raw").glob("*.csv")), read, write)


def awswrangler(folder: Path) -> int:
    """Prepare with awswrangler, from S3 to S3."""
    import awswrangler as wr

    wr.config.s3_endpoint_url = os.environ[S3_VARIABLE]

    def read(name: str) -> Any:
        return wr.s3.read_csv(f"s3://{BUCKET}/raw/{name}", dtype="str", keep_default_na=False)

    def write(table: Any, name: str) -> None:
        wr.s3.to_parquet(table, path=f"s3://{BUCKET}/{name}/", dataset=True, compression="zstd")

    return pandas_program(sorted(path.name for path in (folder / "raw").glob("*.csv")), read, write)


def main() -> int:
    """Run one subject."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    begun = time.perf_counter()
    if name in ("duckdb", "spark"):
        rows = passerelle(folder, name)
    else:
        rows = {"pandas": pandas, "awswrangler": awswrangler}[name](folder)
    seconds = time.perf_counter() - begun
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    figures = {
        "rows": rows,
        "seconds": seconds,
        "processor_seconds": sum(item.ru_utime + item.ru_stime for item in usage),
        "peak_mb": max(item.ru_maxrss for item in usage) / 1e3,
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
