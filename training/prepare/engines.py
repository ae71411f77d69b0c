"""Choose and open the engine of a run."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passerelle.contracts.container import DropManifest
from passerelle.domain.dataset import engine as domain
from passerelle.domain.project import Project
from training.prepare.buckets import Buckets
from training.prepare.engine import Engine, duck_engine


def choose(manifest: DropManifest, project: Project) -> domain.Engine:
    """Return the engine for a drop, and why: what the pipeline has decided, else by size."""
    if manifest.engine:
        return domain.Engine(manifest.engine, manifest.engine_reason)
    return domain.choose_engine(
        project.data.engine,
        new_bytes=sum(file.size for file in manifest.new_files),
        earlier_rows=sum(file.rows for file in manifest.earlier_files),
        columns=len(project.data.columns),
        spark_at_hand=importlib.util.find_spec("pyspark") is not None,
    )


@contextmanager
def open_engine(name: domain.EngineName, spill: Path, buckets: Buckets | None = None) -> Iterator[Engine]:
    """Open an engine; what does not fit its memory goes to the folder `spill`. With `buckets` it is a cluster's."""
    if name == "duckdb":
        with duck_engine(spill) as engine:
            yield engine
        return
    from training.prepare.spark import SparkEngine, spark_session

    with spark_session(spill) as session:
        if buckets is None:
            yield SparkEngine(session, spill)
            return
        from training.prepare.cluster import ClusterEngine

        yield ClusterEngine(session, spill, buckets)
        buckets.forget_staged()
