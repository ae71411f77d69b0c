"""Start a job's container from its image and its request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from laptop.sagemaker.containers import (
    Container,
    LogTarget,
    container_environment,
    image_command,
    local_command,
)
from laptop.settings import LaptopSettings
from laptop.surroundings import RefusedError, Surroundings


class StartError(Exception):
    """There is no container; the text becomes FailureReason."""


def image_entrypoint(settings: LaptopSettings, image: str) -> tuple[str, ...]:
    """Return an image's ENTRYPOINT.

    Raises StartError when the laptop has no such image.
    """
    command = image_command(settings, image)
    if command is None:
        known = ", ".join(settings.images)
        raise StartError(f"ClientError: Cannot pull the image {image}: unknown on the laptop, which has {known}")
    return command


def start_container(
    command: Sequence[str],
    *,
    base: Path,
    environment: Mapping[str, str],
    log: LogTarget,
    settings: LaptopSettings,
    surroundings: Surroundings,
    role: str,
    isolated: bool = False,
) -> Container:
    """Start a command with the environment of a container; an isolated one gets no credentials of the job's role.

    Raises StartError when there is no such command, or it asks for what no process can be given.
    """
    try:
        aws = {} if isolated else surroundings.credentials(role)
        return Container(
            local_command(command),
            environment=container_environment(settings, base, environment, aws=aws),
            surroundings=surroundings,
            log=log,
        )
    except RefusedError as error:
        raise StartError(f"ClientError: {error}") from error
    except (OSError, ValueError) as error:
        raise StartError(f"AlgorithmError: Cannot start the container: {error}") from error
