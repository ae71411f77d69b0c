"""Another environment, in an account of its own, read through a role that it lends: nothing can be changed there."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from passerelle.aws.clients import client, translated
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import naming
from passerelle.contracts.runs import RunRecord
from passerelle.errors import SettingsError

_CONFIG: Final = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=70)


class SourceEnvironment:
    """What the role of another environment lets us read: a run, its artefacts, the image that trained."""

    def __init__(self, environment: str, session: boto3.Session) -> None:
        self.environment = environment
        self._session = session

    @classmethod
    def enter(cls, environment: str, *, role_arn: str, region: str) -> SourceEnvironment:
        """Take on the role that the environment lends.

        Raises SettingsError when it does not, with what to do; TransientError when STS does not answer.
        """
        try:
            with translated(f"the role {role_arn}"):
                lent = client("sts").assume_role(RoleArn=role_arn, RoleSessionName="passerelle-carry")["Credentials"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise
            raise SettingsError(
                f"Environment {environment!r} lends no role {role_arn}: {error}. Name this environment in its "
                f"`promotion.gives_to`, deploy {environment}, then carry again."
            ) from error
        return cls(
            environment,
            boto3.Session(
                aws_access_key_id=lent["AccessKeyId"],
                aws_secret_access_key=lent["SecretAccessKey"],
                aws_session_token=lent["SessionToken"],
                region_name=region,
            ),
        )

    def run(self, project: str, run_id: str) -> RunRecord:
        """Return a run's record.

        Raises NotFoundError when there is none, SettingsError when the environment is not deployed.
        """
        with translated(f"run {run_id} of {self.environment}"):
            dynamodb = self._session.client("dynamodb", config=_CONFIG)
            return RunsTable(dynamodb, self._resource("runs-table")).need(project, run_id)

    def bucket(self, zone: str) -> str:
        """Return the bucket of a zone."""
        with translated(f"the {zone} zone of {self.environment}"):
            return self._resource(f"{zone}-bucket")

    @cached_property
    def objects(self) -> Objects:
        """The objects that the role may read."""
        return Objects(self._session.client("s3", config=_CONFIG))

    def manifest(self, repository: str, digest: str) -> tuple[str, str]:
        """Return an image's manifest, byte for byte, and its media type.

        Raises SettingsError when the image is gone.
        """
        with translated(f"image {repository}@{digest} of {self.environment}"):
            found = self._ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])["images"]
        if not found:
            raise SettingsError(
                f"Environment {self.environment!r} has no image {repository}@{digest} any more, and a model is served "
                "by the image that trained it. Train again there, then carry that run."
            )
        return str(found[0]["imageManifest"]), str(found[0].get("imageManifestMediaType", ""))

    def layer_url(self, repository: str, digest: str) -> str:
        """Return where a layer can be fetched, for an hour."""
        with translated(f"layer {digest} of {repository}"):
            return str(
                self._ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=digest)["downloadUrl"]
            )

    @cached_property
    def _ecr(self) -> Any:
        return self._session.client("ecr", config=_CONFIG)

    @cached_property
    def _ssm(self) -> Any:
        return self._session.client("ssm", config=_CONFIG)

    def _resource(self, name: str) -> str:
        parameter = naming.resource_parameter(self.environment, name)
        return str(self._ssm.get_parameter(Name=parameter)["Parameter"]["Value"])
