"""Build a container image before anything that runs it is deployed; consumers are pinned to its digest."""

from __future__ import annotations

import time
from typing import Final

from passerelle.aws import images
from passerelle.aws.custom_resource import Made, Resource
from passerelle.errors import PasserelleError, TransientError

POLL_SECONDS: Final = 5.0


class ImageBuildError(PasserelleError):
    """CodeBuild could not make the image."""


def build_image(resource: Resource, *, poll_seconds: float = POLL_SECONDS) -> Made:
    """Return the image of `Tag` in `Repository`, built by `Project` when the registry lacks it.

    Tags are hashes of the sources and immutable, so an image that is there is the right one and is not built again.

    Raises ImageBuildError with CodeBuild's words, TransientError when the build outlasts the function's time.
    """
    repository, tag = resource.properties["Repository"], resource.properties["Tag"]
    digest = images.find_digest(repository, tag)
    if digest is None:
        build = _build(resource, poll_seconds)
        # Also after a failure: a build beside this one may have pushed the same immutable tag.
        digest = images.find_digest(repository, tag)
        if digest is None:
            raise ImageBuildError(
                f"Build {build.build_id} ended {build.status}, and {repository} has no image {tag}. {build.failure} "
                f"Log: {build.log_url}"
            )
    uri = resource.properties["RepositoryUri"]
    return Made(f"{repository}-{tag}", {"Digest": digest, "Uri": f"{uri}@{digest}"})


def _build(resource: Resource, poll_seconds: float) -> images.Build:
    project, tag = resource.properties["Project"], resource.properties["Tag"]
    build = images.describe_build(images.start_build(project, token=tag))
    while build.status == "IN_PROGRESS":
        if time.monotonic() > resource.deadline:
            raise TransientError(
                f"Build {build.build_id} goes on longer than this function may run. Deploy again when it has ended: "
                f"{build.log_url}"
            )
        time.sleep(poll_seconds)
        build = images.describe_build(build.build_id)
    return build
