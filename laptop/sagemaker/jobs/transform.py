"""One batch transform job: the model's real server, fed with a prefix of objects."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from laptop.sagemaker.arns import now
from laptop.sagemaker.hosting.variant import Variant, VariantError
from laptop.sagemaker.jobs.lifecycle import TRANSFORM, Lifecycle
from laptop.sagemaker.jobs.training import REASON_CHARACTERS, Control
from laptop.sagemaker.jobs.transfer import list_keys
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings
from passerelle.contracts.zones import split_s3_uri


class TransformRun:
    """Runs one transform job on the calling thread. Objects whose output exists are not done again."""

    def __init__(
        self,
        name: str,
        *,
        model: Mapping[str, Any] | None,
        settings: LaptopSettings,
        surroundings: Surroundings,
        lifecycle: Lifecycle,
        control: Control,
    ) -> None:
        job = lifecycle.get(name)
        assert job is not None
        assert model is not None
        self.name, self._job, self._lifecycle, self._control = name, job, lifecycle, control
        self._surroundings = surroundings
        self._variant = Variant(
            model,
            folder=settings.sagemaker_home / TRANSFORM.path / name,
            group=TRANSFORM.log_group,
            stream=f"{name}/i-{time.time_ns():x}",
            settings=settings,
            surroundings=surroundings,
        )

    def run(self) -> None:
        """Run until the job has its final status, or the platform closes (then it goes on later)."""
        self._lifecycle.change(self.name, TransformStartTime=now())
        cancelled = threading.Event()
        try:
            self._variant.start(cancelled)
            status = self._transform()
            if status:
                self._finish(status)
        except (VariantError, _TransformError) as error:
            self._finish("Failed", FailureReason=str(error)[:REASON_CHARACTERS])
        finally:
            self._variant.stop(drain_seconds=0)

    def _transform(self) -> str | None:
        source = self._job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
        bucket, prefix = split_s3_uri(source)
        s3 = self._surroundings.s3()
        keys = list_keys(s3, bucket, prefix)
        if not keys:
            raise _TransformError(f'ClientError: No S3 objects found under S3 URL "{source}"')
        base = prefix if prefix.endswith("/") else prefix.rpartition("/")[0]
        out_bucket, out_prefix = split_s3_uri(self._job["TransformOutput"]["S3OutputPath"].rstrip("/"))
        # What this job has written before a restart; another job's output of that name is written anew.
        done = set(self._job.get("_written", ()))
        for key in keys:
            target = f"{out_prefix}/{key[len(base) :].lstrip('/')}.out"
            if target in done:
                continue
            if self._control.closing.is_set():
                return None
            if self._control.stop.is_set():
                return "Stopped"
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            s3.put_object(Bucket=out_bucket, Key=target, Body=self._answer(key, body))
            done.add(target)
            self._lifecycle.change(self.name, _written=sorted(done))
        return "Completed"

    def _answer(self, key: str, body: bytes) -> bytes:
        """Send an object in batches and assemble the answers."""
        source, output = self._job["TransformInput"], self._job["TransformOutput"]
        headers = {"Content-Type": source.get("ContentType", "application/octet-stream")}
        if output.get("Accept"):
            headers["Accept"] = output["Accept"]
        answers = []
        for first, last, batch in self._batches(body):
            try:
                answer = self._variant.invoke(headers, batch)
            except (OSError, http.client.HTTPException) as error:
                raise _TransformError(f"AlgorithmError: {key}, lines {first} to {last}: no answer: {error}") from error
            if answer.status != 200:
                words = answer.body.decode("utf-8", "replace")[:500]
                message = f"ClientError: {key}, lines {first} to {last}: HTTP {answer.status}: {words}"
                raise _TransformError(message)
            answers.append(answer.body)
        if output.get("AssembleWith") == "Line":
            return b"".join(part.rstrip(b"\n") + b"\n" for part in answers)
        return b"".join(answers)

    def _batches(self, body: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield (first line, last line, batch); one record or as many as fit MaxPayloadInMB."""
        limit = self._job.get("MaxPayloadInMB", 6) * 1024**2
        if self._job["TransformInput"].get("SplitType", "None") == "None":
            if limit and len(body) > limit:
                raise _TransformError(f"ClientError: an object of {len(body):,} bytes exceeds MaxPayloadInMB")
            yield 1, body.count(b"\n") + 1, body
            return
        several = self._job.get("BatchStrategy", "MultiRecord") == "MultiRecord"
        batch: list[bytes] = []
        size, first, number = 0, 1, 0
        for number, line in enumerate(body.splitlines(keepends=True), start=1):
            if batch and (not several or size + len(line) > limit):
                yield first, number - 1, b"".join(batch)
                batch, size, first = [], 0, number
            batch.append(line)
            size += len(line)
        if batch:
            yield first, number, b"".join(batch)

    def _finish(self, status: str, **fields: Any) -> None:
        self._lifecycle.change(self.name, TransformJobStatus=status, TransformEndTime=now(), **fields)


class _TransformError(Exception):
    """The job fails; the text becomes FailureReason."""
