"""A Spark whose executors are processes of their own, and an S3 that all of them reach over HTTP."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.unit.training.prepared import ZONES
from training.prepare.java import java_home
from training.prepare.spark import SESSION

ROOT: Final = Path(__file__).resolve().parents[3]
#: Loaded by every Python process of an executor: what the driver has on its disk does not exist there.
_GUARD: Final = """
import sys
def refuse(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith({driver!r}):
        raise FileNotFoundError(f"{{arguments[0]}} lies on the driver's disk")
sys.addaudithook(refuse)
"""


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Serve S3 on this machine; gives the environment by which boto3 finds it, in whatever process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.stop()


@contextmanager
def cluster_session(folder: Path, environ: dict[str, str]) -> Iterator[Any]:
    """Start a master and two executors with one core each; they may not open what is below `folder/driver`."""
    from pyspark.sql import SparkSession

    for name in ("driver", "executor", "guard"):
        (folder / name).mkdir()
    (folder / "guard" / "sitecustomize.py").write_text(_GUARD.format(driver=str(folder / "driver")))
    executor = {**environ, "TMPDIR": str(folder / "executor"), "PYTHONPATH": f"{folder / 'guard'}:{ROOT}"}
    settings: dict[str, Any] = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.executor.memory": "512m",
        "spark.local.dir": str(folder / "executor"),
        "spark.sql.warehouse.dir": str(folder / "driver" / "warehouse"),
        "spark.sql.shuffle.partitions": "2",
        # Rows as few as a test's would all end in one partition.
        "spark.sql.adaptive.coalescePartitions.enabled": "false",
        # What runs for seconds is not worth the second compiler's work.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
        "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1",
        **{f"spark.executorEnv.{name}": value for name, value in executor.items()},
        **SESSION,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(java_home(folder)))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("TMPDIR", str(folder / "driver"))
        patch.setattr("tempfile.tempdir", str(folder / "driver"))
        session = SparkSession.builder.master("local-cluster[2,1,512]").config(map=settings).getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        try:
            yield session
        finally:
            session.stop()


def make_buckets(environ: dict[str, str], patch: pytest.MonkeyPatch) -> Any:
    """Make the zones; returns a client of them."""
    for name, value in environ.items():
        patch.setenv(name, value)
    s3 = boto3.client("s3")
    for bucket in ZONES.values():
        s3.create_bucket(Bucket=bucket)
    return s3


def fetch_all(s3: Any, bucket: str, prefix: str, folder: Path) -> list[str]:
    """Copy everything below a prefix into a folder; returns the keys."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [str(item["Key"]) for page in pages for item in page.get("Contents", ())]
    for key in keys:
        if key.startswith(prefix):
            path = folder / key.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, key, str(path))
    return keys


def executor_of(_: int) -> int:
    """Return the process that started this Python: one for each executor."""
    return os.getppid()
