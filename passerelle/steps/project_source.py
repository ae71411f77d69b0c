"""Find a project's deployed archive, and read its project.yaml."""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
import zlib
from dataclasses import dataclass
from typing import Final

from passerelle.aws.clients import client, translated
from passerelle.aws.objects import Objects
from passerelle.contracts import naming
from passerelle.contracts.zones import split_s3_uri
from passerelle.domain.project import Project, load_project
from passerelle.errors import NotFoundError, ProjectError

_CACHE: dict[str, tuple[Project, str]] = {}
_BELIEVED_SECONDS: Final = 60.0
#: (environment, project) -> until when it is believed to be deployed.
_SEEN: dict[tuple[str, str], float] = {}


@dataclass(frozen=True)
class DeployedProject:
    """A project, where its archive lies, and the hash of its data contract with its features.py."""

    project: Project
    uri: str
    contract_hash: str = ""


def deployed_projects(environment: str) -> list[str]:
    """Return the names of the deployed projects."""
    path = naming.project_parameter(environment, "").rstrip("/")
    with translated(f"the projects of {environment}"):
        pages = client("ssm").get_paginator("get_parameters_by_path").paginate(Path=path)
        return sorted(item["Name"].rsplit("/", 1)[1] for page in pages for item in page["Parameters"])


def is_deployed(environment: str, name: str) -> bool:
    """Return whether a project is deployed; what was found is believed for a minute.

    A thousand files dropped at once ask a thousand times, more often than SSM answers; a project that was removed
    meanwhile is found out by the run.
    """
    moment = time.monotonic()
    if _SEEN.get((environment, name), 0.0) > moment:
        return True
    if name not in deployed_projects(environment):
        return False
    _SEEN[(environment, name)] = moment + _BELIEVED_SECONDS
    return True


def read_project(environment: str, name: str) -> DeployedProject:
    """Return a deployed project; read once per archive.

    Raises NotFoundError naming the deployed projects when it is not among them, ProjectError when what was deployed
    cannot be read.
    """
    try:
        with translated(f"project {name}"):
            value = client("ssm").get_parameter(Name=naming.project_parameter(environment, name))["Parameter"]["Value"]
    except NotFoundError as error:
        known = ", ".join(deployed_projects(environment)) or "none"
        raise NotFoundError(
            f"Project {name!r} is not deployed in {environment} (deployed: {known}). Deploy it, then drop again."
        ) from error
    uri = json.loads(value)["uri"]
    if uri not in _CACHE:
        _CACHE[uri] = _load(Objects(client("s3")), name, uri)
    project, contract = _CACHE[uri]
    return DeployedProject(project, uri, contract)


def read_project_as(objects: Objects, parameter: str, name: str) -> Project:
    """Return a deployed project for whoever reads with clients of their own, by the value of its parameter.

    Raises ProjectError when what was deployed cannot be read.
    """
    return _load(objects, name, json.loads(parameter)["uri"])[0]


def _load(objects: Objects, name: str, uri: str) -> tuple[Project, str]:
    archived = objects.read(*split_s3_uri(uri))
    try:
        with zipfile.ZipFile(io.BytesIO(archived)) as archive:
            text = archive.read("project.yaml").decode("utf-8")
            project = load_project(text, source="project.yaml")
            features = project.data.features
            # Its bytes count; nothing of it is run here.
            digest = hashlib.sha256(archive.read(features.file)).hexdigest() if features else ""
    except (KeyError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError) as error:
        raise ProjectError(
            f"The deployed archive of project {name!r} ({uri}) holds no readable project.yaml, or not the features.py "
            f"that this names: {error}. Deploy again."
        ) from error
    return project, project.contract_hash(digest)
