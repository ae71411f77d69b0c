"""One batch transform job: the model's real server, fed with a prefix of objects."""

from __future__ import annotations

import contextlib
import http.client
import io
import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from laptop.sagemaker.arns import now
from laptop.sagemaker.hosting.variant import Variant, VariantError
from laptop.sagemaker.jobs.control import Control
from laptop.sagemaker.jobs.failure import REASON_CHARACTERS
from laptop.sagemaker.jobs.lifecycle import TRANSFORM, Lifecycle
from laptop.sagemaker.jobs.transfer import Cancelled, TransferError, act_as, join_uri, list_keys, relative_path
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings
from passerelle.contracts.zones import split_s3_uri

#: ModelClientConfig.InvocationsTimeoutInSeconds: "the default value is 600".
INVOCATION_SECONDS: Final = 600.0


class TransformRun:
    """Runs one transform job on the calling thread. After a restart, objects that it has scored are not done again."""

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
        self.name, self._job, self._lifecycle, self._control = name, job, lifecycle, control
        self._model, self._settings, self._surroundings = model, settings, surroundings
        self._folder = settings.sagemaker_home / TRANSFORM.path / name
        self._failures: list[str] = list(job.get("_failures", ()))

    def run(self) -> None:
        """Run until the job has its final status, or the platform closes (then it goes on later)."""
        if self._control.ended.wait(self._settings.launch_seconds):
            return self._leave()
        self._lifecycle.change(self.name, TransformStartTime=now())
        if self._model is None:
            return self._fail(f"ClientError: Could not find model {self._job['ModelName']}")
        variant = self._variant(self._model)
        done = threading.Event()
        threading.Thread(target=self._obey, args=(variant, done), name=f"orders-{self.name}", daemon=True).start()
        try:
            variant.start(self._control.ended)
            self._transform(variant)
            self._finish("Completed")
        except Cancelled:
            self._leave()
        except (VariantError, TransferError, _TransformError, ClientError, BotoCoreError) as error:
            self._leave() if self._control.ended.is_set() else self._fail(str(error))
        finally:
            done.set()
            variant.stop(drain_seconds=0)

    def _obey(self, variant: Variant, done: threading.Event) -> None:
        """Kill the server when the job is to end: neither a stop nor the platform's end waits for a slow answer."""
        while not done.is_set():
            if self._control.ended.wait(0.1):
                if variant.alive and variant.pid is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(variant.pid, signal.SIGKILL)
                return

    def _variant(self, model: Mapping[str, Any]) -> Variant:
        """Return the model's server, with the job's environment and what SageMaker tells a batch container."""
        container = model.get("PrimaryContainer") or model["Containers"][0]
        batch = {
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self._payload),
            "SAGEMAKER_BATCH_STRATEGY": self._strategy,
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(self._job.get("MaxConcurrentTransforms", 1)),
        }
        environment = container.get("Environment", {}) | batch | self._job.get("Environment", {})
        return Variant(
            {"PrimaryContainer": {**container, "Environment": environment}, "ExecutionRoleArn": self._role},
            folder=self._folder,
            group=TRANSFORM.log_group,
            stream=f"{self.name}/i-{time.time_ns():x}",
            settings=self._settings,
            surroundings=self._surroundings,
            invoke_seconds=float(self._client.get("InvocationsTimeoutInSeconds", INVOCATION_SECONDS)),
        )

    @property
    def _client(self) -> Mapping[str, Any]:
        client: Mapping[str, Any] = self._job.get("ModelClientConfig", {})
        return client

    @property
    def _role(self) -> str:
        return str((self._model or {}).get("ExecutionRoleArn", ""))

    @property
    def _payload(self) -> int:
        return int(self._job.get("MaxPayloadInMB", 6))

    @property
    def _strategy(self) -> str:
        return str(self._job.get("BatchStrategy", "MultiRecord"))

    def _transform(self, variant: Variant) -> None:
        source = self._job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
        bucket, prefix = split_s3_uri(source)
        s3 = act_as(self._surroundings, self._role)  # SageMaker copies in the name of the model's role
        keys = list_keys(s3, bucket, prefix)
        if not keys:
            raise _TransformError(f'ClientError: No S3 objects found under S3 URL "{source}"')
        # What this job has done before a restart; another job's output of that name is written anew.
        last = self._job.get("_last_key")
        for key in keys[keys.index(last) + 1 :] if last in keys else keys:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            try:
                answer = self._answer(variant, key, body)
            except _TransformError as error:
                if self._control.ended.is_set():  # its server was killed, the object is sound
                    raise Cancelled from error
                self._failures.append(str(error))  # "uploads only the output for successfully processed objects"
                if not variant.alive:
                    break
            else:
                target = join_uri(self._job["TransformOutput"]["S3OutputPath"], f"{relative_path(key, prefix)}.out")
                out_bucket, out_key = split_s3_uri(target)
                s3.put_object(Bucket=out_bucket, Key=out_key, Body=answer)
            self._lifecycle.note(self.name, _last_key=key, _failures=self._failures)
        if self._failures:
            more = len(self._failures) - 1
            raise _TransformError(self._failures[0] + (f" (and {more} more objects failed)" if more else ""))

    def _answer(self, variant: Variant, key: str, body: bytes) -> bytes:
        """Send an object in batches and assemble the answers."""
        source, output = self._job["TransformInput"], self._job["TransformOutput"]
        headers = {"Content-Type": source.get("ContentType", "application/octet-stream")}
        if output.get("Accept"):
            headers["Accept"] = output["Accept"]
        answers = []
        for first, last, batch in self._batches(body):
            if self._control.ended.is_set():
                raise Cancelled
            answers.append(self._asked(variant, headers, batch, f"{key}, lines {first} to {last}"))
        if output.get("AssembleWith") == "Line":
            return b"".join(part.rstrip(b"\n") + b"\n" for part in answers)
        return b"".join(answers)

    def _asked(self, variant: Variant, headers: Mapping[str, str], batch: bytes, place: str) -> bytes:
        """Return the answer to one batch; what the server does not answer or cannot (5xx) is asked again.

        ModelClientConfig.InvocationsMaxRetries: "the maximum number of retries when invocation requests are failing".
        """
        failure = ""
        for _ in range(1 + int(self._client.get("InvocationsMaxRetries", 3))):
            if self._control.ended.is_set():
                raise Cancelled
            try:
                answer = variant.invoke(headers, batch)
            except (OSError, http.client.HTTPException) as error:
                failure = f"AlgorithmError: {place}: no answer: {error}"
                if not variant.alive:
                    break
                continue
            if answer.status == 200:
                return answer.body
            failure = f"ClientError: {place}: HTTP {answer.status}: {answer.body.decode('utf-8', 'replace')[:500]}"
            if answer.status < 500:
                break
        raise _TransformError(failure)

    def _batches(self, body: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield (first line, last line, batch); one record or as many as fit MaxPayloadInMB, where 0 is no limit."""
        limit = self._payload * 1024**2 or math.inf
        if self._job["TransformInput"].get("SplitType", "None") == "None":
            if len(body) > limit:
                raise _TransformError(f"ClientError: an object of {len(body):,} bytes exceeds MaxPayloadInMB")
            yield 1, body.count(b"\n") + 1, body
            return
        batch: list[bytes] = []
        size, first, number = 0, 1, 0
        for number, line in enumerate(io.BytesIO(body), start=1):
            if len(line) > limit:
                raise _TransformError(f"ClientError: line {number} has {len(line):,} bytes: more than MaxPayloadInMB")
            if batch and (self._strategy != "MultiRecord" or size + len(line) > limit):
                yield first, number - 1, b"".join(batch)
                batch, size, first = [], 0, number
            batch.append(line)
            size += len(line)
        if batch:
            yield first, number, b"".join(batch)

    def _leave(self) -> None:
        """End before all is scored: the job was stopped, or the platform closes."""
        if not self._control.closing.is_set():
            self._finish("Stopped")

    def _fail(self, reason: str) -> None:
        self._finish("Failed", FailureReason=reason[:REASON_CHARACTERS])

    def _finish(self, status: str, **fields: Any) -> None:
        self._lifecycle.end(self.name, status, **fields)


class _TransformError(Exception):
    """The job fails; the text becomes FailureReason."""
