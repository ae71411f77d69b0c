"""Container registries of several accounts: ECR's operations on layers and manifests, over HTTP, with its rules.

What matters here is kept as AWS has it: layers arrive in parts without gaps, a layer has the SHA-256 that it claims, a
manifest is refused while one of its layers is missing, and who asks sees the registry of its own account only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from botocore import xform_name

MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@dataclass
class Repository:
    """One repository: layers by digest, manifests by digest, and what was uploaded so far."""

    layers: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)

    def push(self, *layers: bytes) -> str:
        """Put an image of these layers; returns its digest."""
        blobs = [b'{"architecture": "amd64"}', *layers]
        self.layers |= {digest_of(blob): blob for blob in blobs}
        config, *rest = [{"digest": digest_of(blob), "size": len(blob)} for blob in blobs]
        text = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": rest})
        self.manifests[digest_of(text.encode())] = text
        return digest_of(text.encode())


class RefusedError(Exception):
    """An error of ECR's: its code and words."""


@dataclass
class Registries:
    """`accounts`: access key -> account. `fail_after`: uploads of parts that succeed before the registry breaks."""

    url: str = ""
    accounts: dict[str, str] = field(default_factory=dict)
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    uploaded: list[str] = field(default_factory=list)
    fail_after: int | None = None

    def repository(self, account: str, name: str) -> Repository:
        return self.repositories.setdefault((account, name), Repository())

    def answer(self, operation: str, account: str, request: dict[str, Any]) -> dict[str, Any]:
        found = self.repositories.get((account, request["repositoryName"]))
        if found is None:
            raise RefusedError("RepositoryNotFoundException", f"no {request['repositoryName']} in {account}")
        answer: dict[str, Any] = getattr(self, f"_{xform_name(operation)}")(found, request, account)
        return answer

    def _batch_get_image(self, repository: Repository, request: dict[str, Any], _: str) -> dict[str, Any]:
        wanted = [item["imageDigest"] for item in request["imageIds"]]
        images = [
            {"imageId": {"imageDigest": item}, "imageManifest": repository.manifests[item],
             "imageManifestMediaType": MANIFEST}
            for item in wanted if item in repository.manifests
        ]  # fmt: skip
        return {"images": images, "failures": []}

    def _get_download_url_for_layer(self, _: Repository, request: dict[str, Any], account: str) -> dict[str, Any]:
        return {"downloadUrl": f"{self.url}/{account}/{request['repositoryName']}/{request['layerDigest']}"}

    def _batch_check_layer_availability(
        self, repository: Repository, request: dict[str, Any], _: str
    ) -> dict[str, Any]:
        says = {True: "AVAILABLE", False: "UNAVAILABLE"}
        asked = request["layerDigests"]
        return {"layers": [{"layerDigest": d, "layerAvailability": says[d in repository.layers]} for d in asked]}

    def _initiate_layer_upload(self, repository: Repository, *_: Any) -> dict[str, Any]:
        upload = f"upload-{len(repository.uploads)}"
        repository.uploads[upload] = bytearray()
        return {"uploadId": upload, "partSize": 10 * 1024 * 1024}

    def _upload_layer_part(self, repository: Repository, request: dict[str, Any], _: str) -> dict[str, Any]:
        if self.fail_after is not None and len(self.uploaded) >= self.fail_after:
            raise RefusedError("ServerException", "the registry is down")
        so_far, part = repository.uploads[request["uploadId"]], base64.b64decode(request["layerPartBlob"])
        if (request["partFirstByte"], request["partLastByte"]) != (len(so_far), len(so_far) + len(part) - 1):
            raise RefusedError("InvalidLayerPartException", "parts must follow one another")
        so_far += part
        self.uploaded.append(request["uploadId"])
        return {"lastByteReceived": len(so_far) - 1}

    def _complete_layer_upload(self, repository: Repository, request: dict[str, Any], _: str) -> dict[str, Any]:
        body, (claimed,) = bytes(repository.uploads.pop(request["uploadId"])), request["layerDigests"]
        if digest_of(body) != claimed:
            raise RefusedError("InvalidLayerException", f"{digest_of(body)} is not {claimed}")
        if claimed in repository.layers:
            raise RefusedError("LayerAlreadyExistsException", claimed)
        repository.layers[claimed] = body
        return {"layerDigest": claimed}

    def _put_image(self, repository: Repository, request: dict[str, Any], _: str) -> dict[str, Any]:
        text = request["imageManifest"]
        manifest = json.loads(text)
        lacking = {blob["digest"] for blob in (manifest["config"], *manifest["layers"])} - set(repository.layers)
        if lacking:
            raise RefusedError("LayersNotFoundException", ", ".join(sorted(lacking)))
        if digest_of(text.encode()) != request["imageDigest"]:
            raise RefusedError("ImageDigestDoesNotMatchException", request["imageDigest"])
        repository.manifests[request["imageDigest"]] = text
        return {"image": {"imageId": {"imageDigest": request["imageDigest"]}}}


@contextmanager
def running_registries() -> Iterator[Registries]:
    """Answer on a free port of 127.0.0.1."""
    registries = Registries()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            _, account, name, digest = self.path.split("/")
            self._send(200, registries.repositories[(account, name)].layers[digest])

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = self.headers["Authorization"].split("Credential=")[1].split("/")[0]
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            try:
                self._send(200, json.dumps(registries.answer(operation, registries.accounts[key], body)).encode())
            except RefusedError as error:
                code, words = error.args
                status = 500 if code == "ServerException" else 400
                self._send(status, json.dumps({"__type": code, "message": words}).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registries.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield registries
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
