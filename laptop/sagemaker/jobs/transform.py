"""One batch transform job: the model's real server, fed with a prefix of objects."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from laptop.sagemaker.arns import now
from laptop.sagemaker.hosting.connections import ContainerAnswer
from laptop.sagemaker.hosting.variant import Variant, VariantError
from laptop.sagemaker.jobs.batch.failures import ObjectError, TransformError
from laptop.sagemaker.jobs.batch.inputs import InputObject, input_objects
from laptop.sagemaker.jobs.batch.joining import Joining
from laptop.sagemaker.jobs.batch.records import DEFAULT_PAYLOAD_MB, Batch, Splitting
from laptop.sagemaker.jobs.batch.tuned import tuned
from laptop.sagemaker.jobs.control import Control
from laptop.sagemaker.jobs.failure import REASON_CHARACTERS
from laptop.sagemaker.jobs.lifecycle import TRANSFORM, Lifecycle
from laptop.sagemaker.jobs.transfer import Cancelled, TransferError, act_as, join_uri
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings
from passerelle.contracts.zones import split_s3_uri

#: ModelClientConfig.InvocationsTimeoutInSeconds: "the default value is 600".
INVOCATION_SECONDS: Final = 600.0
#: Between two tries; a server that has died is known to be dead by then.
RETRY_SECONDS: Final = 0.1
#: So much of a server's refusal is told in the data log.
WORDS: Final = 500


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
        job: Mapping[str, Any] | None = lifecycle.get(name)
        assert job is not None
        self.name, self._job, self._lifecycle, self._control = name, job, lifecycle, control
        self._model, self._settings, self._surroundings = model, settings, surroundings
        self._folder = settings.sagemaker_home / TRANSFORM.path / name
        self._stream = f"{name}/i-{time.time_ns():x}"
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
        except (VariantError, TransferError, TransformError, ClientError, BotoCoreError) as error:
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
        strategy = self._job.get("BatchStrategy", "MultiRecord")
        batch = {
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self._job.get("MaxPayloadInMB", DEFAULT_PAYLOAD_MB)),
            "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD" if strategy == "MultiRecord" else "SINGLE_RECORD",
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(self._job.get("MaxConcurrentTransforms") or 1),
        }
        environment = container.get("Environment", {}) | batch | self._job.get("Environment", {})
        return Variant(
            {"PrimaryContainer": {**container, "Environment": environment}, "ExecutionRoleArn": self._role},
            folder=self._folder,
            group=TRANSFORM.log_group,
            stream=self._stream,
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

    def _transform(self, variant: Variant) -> None:
        s3 = act_as(self._surroundings, self._role)  # SageMaker copies in the name of the model's role
        objects = input_objects(s3, self._job["TransformInput"]["DataSource"]["S3DataSource"])
        self._job = tuned(self._job, variant.port)
        self._say(f"MaxConcurrentTransforms={self._job['MaxConcurrentTransforms']}, "
                  f"MaxPayloadInMB={self._job['MaxPayloadInMB']}, "
                  f"BatchStrategy={'MULTI' if Splitting.of(self._job).many else 'SINGLE'}_RECORD")  # fmt: skip
        # What this job has done before a restart; another job's output of that name is written anew.
        keys, last = [found.key for found in objects], self._job.get("_last_key")
        for found in objects[keys.index(last) + 1 :] if last in keys else objects:
            try:
                answer = self._answer(variant, self._content(s3, found))
            except ObjectError as error:
                if self._control.ended.is_set():  # its server was killed, the object is sound
                    raise Cancelled from error
                self._failures.append(error.blame)  # "uploads only the output for successfully processed objects"
                for line in str(error).splitlines():
                    self._say(f"{found.bucket}/{found.key}: {line}")
                if not variant.alive:
                    break
            else:
                self._put(s3, found, answer)
            self._lifecycle.note(self.name, _last_key=found.key, _failures=self._failures)
        if self._failures:
            raise TransformError(f"{self._failures[0]}: See job logs for more information")

    def _content(self, s3: Any, found: InputObject) -> bytes:
        try:
            stored: bytes = s3.get_object(Bucket=found.bucket, Key=found.key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            raise TransformError(f"ClientError: {found.bucket}/{found.key} does not exist") from error
        return Splitting.of(self._job).plain(stored)

    def _put(self, s3: Any, found: InputObject, answer: bytes) -> None:
        output = self._job["TransformOutput"]
        bucket, key = split_s3_uri(join_uri(output["S3OutputPath"], f"{found.relative}.out"))
        named = output.get("KmsKeyId")
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": named} if named else {}
        s3.put_object(Bucket=bucket, Key=key, Body=answer, **encryption)

    def _say(self, text: str) -> None:
        """Write into the job's data log, in which SageMaker tells of the objects; the container has its own log."""
        moment = datetime.now(UTC)
        line = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}:[sagemaker logs]: {text}"
        self._surroundings.put_log_lines(TRANSFORM.log_group, f"{self._stream}/data-log", [(moment, line)])

    def _answer(self, variant: Variant, body: bytes) -> bytes:
        """Send an object in batches, so many side by side as the job says, and assemble the answers in order."""
        output, joining = self._job["TransformOutput"], Joining.of(self._job)
        headers = {"Content-Type": self._job["TransformInput"].get("ContentType", "application/octet-stream")}
        if output.get("Accept"):
            headers["Accept"] = output["Accept"]

        def one(batch: Batch) -> bytes:
            if joining is None:
                return self._asked(variant, headers, batch, batch.body)
            return joining.result(batch.body, self._asked(variant, headers, batch, joining.request(batch.body)))

        with ThreadPoolExecutor(self._job["MaxConcurrentTransforms"]) as pool:
            answers = list(pool.map(one, Splitting.of(self._job).batches(body)))
        if output.get("AssembleWith") == "Line":
            return b"".join(part.rstrip(b"\n") + b"\n" for part in answers)
        return b"".join(answers)

    def _asked(self, variant: Variant, headers: Mapping[str, str], batch: Batch, body: bytes) -> bytes:
        """Return the answer to one batch; what the server does not answer or cannot (5xx) is asked again.

        ModelClientConfig.InvocationsMaxRetries: "the maximum number of retries when invocation requests are failing".
        """
        failure = ObjectError("AlgorithmError", "Unable to get response from algorithm")
        for _ in range(1 + int(self._client.get("InvocationsMaxRetries", 3))):
            if self._control.ended.is_set():
                raise Cancelled
            try:
                answer = variant.invoke(headers, body)
            except (OSError, http.client.HTTPException) as error:
                place = f"lines {batch.first} to {batch.last}"
                failure = ObjectError("AlgorithmError", f"Unable to get response from algorithm: {place}: {error}")
                self._control.ended.wait(RETRY_SECONDS)
                if not variant.alive:
                    break
                continue
            if answer.status == 200:
                return answer.body
            failure = _refused(answer, batch)
            if answer.status < 500:
                break
        raise failure

    def _leave(self) -> None:
        """End before all is scored: the job was stopped, or the platform closes."""
        if not self._control.closing.is_set():
            self._finish("Stopped")

    def _fail(self, reason: str) -> None:
        self._finish("Failed", FailureReason=reason[:REASON_CHARACTERS])

    def _finish(self, status: str, **fields: Any) -> None:
        self._lifecycle.end(self.name, status, **fields)


def _refused(answer: ContainerAnswer, batch: Batch) -> ObjectError:
    """Return what the data log tells of an answer that is none, the server's own words below."""
    words = f"Lines {batch.first} to {batch.last}\nMessage:\n{answer.body.decode('utf-8', 'replace')[:WORDS]}"
    if answer.status < 500:
        return ObjectError("ClientError", f"ClientError: {answer.status}\n{words}")
    return ObjectError("AlgorithmError", f"Bad HTTP status received from algorithm: {answer.status}\n{words}")
