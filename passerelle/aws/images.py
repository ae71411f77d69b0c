"""Container images: what the registry has, and builds that make what it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from passerelle.aws.clients import client, translated


@dataclass(frozen=True)
class Build:
    """A build of CodeBuild: IN_PROGRESS, SUCCEEDED, or how else it ended; where its log is."""

    build_id: str
    status: str
    log_url: str
    failure: str = ""


def find_digest(repository: str, tag: str) -> str | None:
    """Return the digest of an image, None when the repository has no such tag."""
    with translated(f"image {repository}:{tag}"):
        try:
            found = client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
        except ClientError as error:
            if error.response["Error"]["Code"] == "ImageNotFoundException":
                return None
            raise
    return str(found["imageDetails"][0]["imageDigest"])


def start_build(project: str, *, token: str) -> str:
    """Start a build, or return the one that the same token has started within five minutes."""
    with translated(f"build project {project}"):
        return str(client("codebuild").start_build(projectName=project, idempotencyToken=token)["build"]["id"])


def describe_build(build_id: str) -> Build:
    """Return how a build goes, with the words of the phase that failed."""
    with translated(f"build {build_id}"):
        (build,) = client("codebuild").batch_get_builds(ids=[build_id])["builds"]
    return Build(build_id, build["buildStatus"], build.get("logs", {}).get("deepLink", ""), _failure(build))


def _failure(build: dict[str, Any]) -> str:
    for phase in build.get("phases", ()):
        if phase.get("phaseStatus") not in (None, "SUCCEEDED"):
            words = " ".join(context.get("message", "") for context in phase.get("contexts", ()))
            return f"{phase['phaseType']}: {words.strip()}"
    return ""
