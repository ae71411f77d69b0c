"""A container image that the deployment builds by itself, with no Docker on the user's machine."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from aws_cdk import (
    CrossStackReferences,
    CustomResource,
    Duration,
    ReferenceStrength,
    RemovalPolicy,
    Stack,
    aws_codebuild,
    aws_ecr,
    aws_ecr_assets,
    aws_iam,
    aws_kms,
    aws_logs,
    aws_s3_assets,
)
from constructs import Construct

from infra import permissions as may
from infra.base_image import PIN, SPARK_PIN, base_reference
from infra.config import PlatformConfig
from infra.constructs.function import BUILD, Function, retention
from infra.source import ROOT

KEPT_IMAGES: Final = 30
#: In the staged sources: the base image that the Dockerfiles take as `BASE`, and the other build arguments by line.
BASE_FILE: Final = "base.txt"
ARGUMENTS_FILE: Final = "arguments.txt"


@dataclass(frozen=True)
class ImageSource:
    """What an image is made of: paths of the repository, laid out below `base`, and the Dockerfile among them.

    `arguments` are the Dockerfile's build arguments beside `BASE`: words without spaces.
    """

    name: str
    base: str
    paths: tuple[str, ...]
    dockerfile: str
    architecture: Literal["x86_64", "arm64"]
    arguments: Mapping[str, str] = field(default_factory=dict)
    pin: Path = PIN


#: SageMaker's training and serving instances of our price table are x86-64.
TRAINING: Final = ImageSource("training", ".", ("passerelle", "training"), "training/Dockerfile", "x86_64")
#: The same with XGBoost's CUDA build: for training jobs on instances with a GPU.
TRAINING_GPU: Final = replace(TRAINING, name="training-gpu", arguments={"REQUIREMENTS": "requirements-gpu.txt"})
#: EMR Serverless takes images that are built on its own base.
SPARK: Final = ImageSource(
    "spark", ".", ("passerelle", "training", "infra/images/spark"), "infra/images/spark/Dockerfile", "x86_64",
    pin=SPARK_PIN,
)  # fmt: skip
TRACKING: Final = ImageSource("tracking", "infra/images/tracking", (".",), "Dockerfile", "arm64")


def stage_image(source: ImageSource) -> Path:
    """Copy an image's sources into a clean folder, whose hash becomes the image's tag; returns it.

    The base image and the build arguments are among them: another base is another image.
    """
    target = BUILD / "images" / source.name
    shutil.rmtree(target, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    for path in source.paths:
        shutil.copytree(ROOT / source.base / path, target / path, ignore=ignore, dirs_exist_ok=True)
    (target / BASE_FILE).write_text(base_reference(source.pin) + "\n", encoding="utf-8")
    arguments = "".join(f"{name}={value}\n" for name, value in source.arguments.items())
    (target / ARGUMENTS_FILE).write_text(arguments, encoding="utf-8")
    return target


class DockerImage(Construct):
    """The same image, built by Docker on the deploying machine, in the repository that `cdk bootstrap` made.

    The synthesis needs no Docker. The tag is the hash of the sources, and that repository lets no tag be moved.
    """

    def __init__(self, scope: Construct, id_: str, *, source: ImageSource) -> None:
        super().__init__(scope, id_)
        platforms = {
            "x86_64": aws_ecr_assets.Platform.LINUX_AMD64,
            "arm64": aws_ecr_assets.Platform.LINUX_ARM64,
        }
        asset = aws_ecr_assets.DockerImageAsset(
            self,
            "Asset",
            directory=str(stage_image(source)),
            file=source.dockerfile,
            platform=platforms[source.architecture],
            build_args={"BASE": base_reference(source.pin), **source.arguments},
        )
        self.repository: aws_ecr.IRepository = asset.repository
        self.uri = asset.image_uri


class BuiltImage(Construct):
    """A repository, a build project, and the image of this checkout's sources. Idle, it costs its stored layers."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        source: ImageSource,
        config: PlatformConfig,
        key: aws_kms.IKey,
        builder: Function,
    ) -> None:
        super().__init__(scope, id_)
        self.repository: aws_ecr.IRepository = aws_ecr.Repository(
            self,
            "Repository",
            repository_name=f"passerelle-{config.name}-{source.name}",
            encryption=aws_ecr.RepositoryEncryption.KMS,
            encryption_key=key,
            image_scan_on_push=True,
            image_tag_mutability=aws_ecr.TagMutability.IMMUTABLE,
            removal_policy=RemovalPolicy.RETAIN if config.retain_data else RemovalPolicy.DESTROY,
            empty_on_delete=not config.retain_data,
            lifecycle_rules=[aws_ecr.LifecycleRule(max_image_count=KEPT_IMAGES)],
        )
        assets = aws_s3_assets.Asset(self, "Source", path=str(stage_image(source)))
        project = self._project(source, config, key, assets)
        builder.role.add_to_policy(may.allow(["ecr:DescribeImages"], self.repository.repository_arn))
        builder.role.add_to_policy(may.allow(["codebuild:StartBuild", "codebuild:BatchGetBuilds"], project.project_arn))
        self.resource = CustomResource(
            self,
            "Image",
            resource_type="Custom::PasserelleImage",
            service_token=builder.function.function_arn,
            properties={
                "Project": project.project_name,
                "Repository": self.repository.repository_name,
                "RepositoryUri": self.repository.repository_uri,
                "Tag": assets.asset_hash,
            },
        )
        self.resource.node.add_dependency(builder, project)
        # An exported value that another stack imports can be neither changed nor removed (CloudFormation user guide,
        # Fn::ImportValue): no release after the first could bring another image.
        CrossStackReferences.of(self.resource).produce(ReferenceStrength.WEAK)
        #: `repository@sha256:…`: what runs is what was built, whatever becomes of tags.
        self.uri = self.resource.get_att_string("Uri")

    def _project(
        self, source: ImageSource, config: PlatformConfig, key: aws_kms.IKey, assets: aws_s3_assets.Asset
    ) -> aws_codebuild.Project:
        image: aws_codebuild.IBuildImage = aws_codebuild.LinuxBuildImage.AMAZON_LINUX_2023_5
        if source.architecture == "arm64":
            image = aws_codebuild.LinuxArmBuildImage.AMAZON_LINUX_2023_STANDARD_3_0
        logs = aws_logs.LogGroup(
            self, "Logs", encryption_key=key, retention=retention(config), removal_policy=RemovalPolicy.DESTROY
        )
        project = aws_codebuild.Project(
            self,
            "Project",
            role=self._build_role(key, assets, logs).without_policy_updates(),
            grant_report_group_permissions=False,
            description=f"Builds the {source.name} image of passerelle {config.name}",
            source=aws_codebuild.Source.s3(bucket=assets.bucket, path=assets.s3_object_key),
            environment=aws_codebuild.BuildEnvironment(
                build_image=image, compute_type=aws_codebuild.ComputeType.SMALL, privileged=True
            ),
            environment_variables={
                "IMAGE": aws_codebuild.BuildEnvironmentVariable(
                    value=f"{self.repository.repository_uri}:{assets.asset_hash}"
                ),
                "REGISTRY": aws_codebuild.BuildEnvironmentVariable(
                    value=f"{config.account}.dkr.ecr.{config.region}.amazonaws.com"
                ),
                "DOCKERFILE": aws_codebuild.BuildEnvironmentVariable(value=source.dockerfile),
            },
            build_spec=aws_codebuild.BuildSpec.from_object(BUILD_SPEC),
            encryption_key=key,
            timeout=Duration.minutes(14),  # the waiting function has 15
            logging=aws_codebuild.LoggingOptions(cloud_watch=aws_codebuild.CloudWatchLoggingOptions(log_group=logs)),
        )
        return project

    def _build_role(self, key: aws_kms.IKey, assets: aws_s3_assets.Asset, logs: aws_logs.ILogGroup) -> aws_iam.Role:
        """Read the sources, write the log, push the image; nothing else."""
        stack = Stack.of(self)
        role = aws_iam.Role(
            self,
            "BuildRole",
            assumed_by=may.service(stack, "codebuild"),
        )
        push = [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:CompleteLayerUpload",
            "ecr:GetDownloadUrlForLayer",
            "ecr:InitiateLayerUpload",
            "ecr:PutImage",
            "ecr:UploadLayerPart",
        ]
        for statement in (
            may.allow(["s3:GetObject", "s3:GetObjectVersion"], assets.bucket.arn_for_objects(assets.s3_object_key)),
            may.allow(["logs:CreateLogStream", "logs:PutLogEvents"], logs.log_group_arn),
            may.allow(["ecr:GetAuthorizationToken"], "*"),
            may.allow(push, self.repository.repository_arn),
            may.allow(["kms:Decrypt", "kms:GenerateDataKey"], key.key_arn),
        ):
            role.add_to_policy(statement)
        return role


#: `set -e` holds within one phase; a later phase asks how the earlier ones ended. A base that is named by its tag is
#: looked up once, so that all stages are built on the same bytes, and the image says which.
BUILD_SPEC: Final = {
    "version": "0.2",
    "phases": {
        "pre_build": {
            "commands": [
                "set -euo pipefail",
                'aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY"',
            ]
        },
        "build": {
            "commands": [
                "set -euo pipefail",
                f'BASE="$(cat {BASE_FILE})"',
                'docker pull --quiet "$BASE"',
                'case "$BASE" in *@sha256:*) ;; '
                """*) BASE="$(docker inspect --format '{{index .RepoDigests 0}}' "$BASE")" ;; esac""",
                'echo "Building on $BASE"',
                f"ARGUMENTS=\"$(sed 's/^/--build-arg /' {ARGUMENTS_FILE})\"",
                'docker build --file "$DOCKERFILE" --build-arg "BASE=$BASE" $ARGUMENTS '
                '--label "org.opencontainers.image.base.name=$BASE" --tag "$IMAGE" .',
            ]
        },
        "post_build": {
            "commands": ['test "$CODEBUILD_BUILD_SUCCEEDING" = 1', 'docker push "$IMAGE"'],
        },
    },
}
