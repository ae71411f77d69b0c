"""Copy a container image from another account by its digest, layer by layer through ECR's own API.

The digest is the SHA-256 of the manifest, and the manifest names each layer's: the copy has the same digest, or it is
none. Neither Docker nor a rule for the whole registry is needed (docs/decisions/0007).
"""

from __future__ import annotations

import hashlib
import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from passerelle.aws.clients import client, translated
from passerelle.aws.source_environment import SourceEnvironment
from passerelle.errors import BundleError, InputError, TransientError

#: Every part but the last has at least 5 MiB (API reference, UploadLayerPart), and at most 20 MiB go through.
PART_BYTES: Final = 10 * 1024 * 1024
_TYPES: Final = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
_THERE: Final = ("LayerAlreadyExistsException", "ImageAlreadyExistsException", "ImageTagAlreadyExistsException")


@dataclass(frozen=True)
class ImageReference:
    """`registry/repository@sha256:…`."""

    registry: str
    repository: str
    digest: str

    @classmethod
    def parse(cls, uri: str) -> ImageReference:
        """Read a reference.

        Raises InputError for one that names a tag, which may mean another image tomorrow.
        """
        place, at, digest = uri.partition("@")
        registry, slash, repository = place.partition("/")
        if not (at and slash and digest.startswith("sha256:")):
            raise InputError(
                f"The run was trained by {uri!r}, which names no digest, so nobody can tell whether the same image "
                "would serve its model. Train with an image of the platform's own registry, then carry that run."
            )
        return cls(registry, repository, digest)


def copy_image(source: SourceEnvironment, image: ImageReference, repository: str, *, patience_seconds: float) -> bool:
    """Copy what the repository lacks of an image; returns False when time is up before all of it is there.

    Called again, it goes on after the last whole layer. Raises BundleError when a layer or the manifest is not what its
    digest says, TransientError when a registry does not answer.
    """
    deadline = time.monotonic() + patience_seconds
    if _has_image(repository, image.digest):
        return True
    text, media_type = source.manifest(image.repository, image.digest)
    if f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" != image.digest:
        raise BundleError(f"The manifest of {image.repository}@{image.digest} is not what its digest says.")
    manifest = json.loads(text)
    media_type = media_type or str(manifest.get("mediaType", ""))
    if media_type not in _TYPES:
        raise InputError(
            f"{image.repository}@{image.digest} is {media_type or 'of an unknown kind'}, which SageMaker runs not. "
            "Push an image of one platform, without attestations, and train again."
        )
    blobs = [manifest["config"], *manifest["layers"]]
    for digest in _missing(repository, list(dict.fromkeys(blob["digest"] for blob in blobs))):
        if time.monotonic() > deadline:
            return False
        _copy_layer(source, image, digest, repository)
    _put(repository, text, media_type, image.digest)
    return True


def _has_image(repository: str, digest: str) -> bool:
    with translated(f"image {repository}@{digest}"):
        found = client("ecr").batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])
    return bool(found["images"])


def _missing(repository: str, digests: list[str]) -> Iterator[str]:
    """Yield the layers that a repository lacks; a hundred may be asked for at once (API reference)."""
    for start in range(0, len(digests), 100):
        asked = digests[start : start + 100]
        with translated(f"layers of {repository}"):
            found = client("ecr").batch_check_layer_availability(repositoryName=repository, layerDigests=asked)
        there = {item["layerDigest"] for item in found["layers"] if item.get("layerAvailability") == "AVAILABLE"}
        yield from (digest for digest in asked if digest not in there)


def _copy_layer(source: SourceEnvironment, image: ImageReference, digest: str, repository: str) -> None:
    ecr, seen, sent = client("ecr"), hashlib.sha256(), 0
    with translated(f"layer {digest} for {repository}"):
        upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
        for part in _parts(source.layer_url(image.repository, digest)):
            seen.update(part)
            ecr.upload_layer_part(
                repositoryName=repository,
                uploadId=upload,
                partFirstByte=sent,
                partLastByte=sent + len(part) - 1,
                layerPartBlob=part,
            )
            sent += len(part)
        if f"sha256:{seen.hexdigest()}" != digest:
            raise BundleError(
                f"Layer {digest} of {image.repository}@{image.digest} came as sha256:{seen.hexdigest()}: it was "
                f"changed in {source.environment} or on the way. Nothing of it is kept; train there again."
            )
        _once(lambda: ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest]))


def _parts(url: str) -> Iterator[bytes]:
    try:
        with urllib.request.urlopen(url, timeout=70) as answer:
            while part := _read(answer):
                yield part
    except OSError as error:
        raise TransientError(f"A layer does not come from the registry: {error}") from error


def _read(answer: Any) -> bytes:
    """Return a whole part; a read may give less than it was asked for."""
    pieces, wanted = [], PART_BYTES
    while wanted and (piece := answer.read(wanted)):
        pieces.append(piece)
        wanted -= len(piece)
    return b"".join(pieces)


def _put(repository: str, manifest: str, media_type: str, digest: str) -> None:
    """Tag it by its digest: a tag keeps it from being taken for a leftover, and no other image can have this one."""
    with translated(f"image {repository}@{digest}"):
        _once(
            lambda: client("ecr").put_image(
                repositoryName=repository,
                imageManifest=manifest,
                imageManifestMediaType=media_type,
                imageDigest=digest,
                imageTag=digest.replace(":", "-"),
            )
        )


def _once(write: Any) -> None:
    try:
        write()
    except ClientError as error:
        if error.response["Error"]["Code"] not in _THERE:
            raise
