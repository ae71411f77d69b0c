"""One environment: the only place that knows all stacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Environment, Stack, Tags
from constructs import Construct

from infra import permissions as may
from infra.config import PlatformConfig
from infra.constructs.function import Place
from infra.projects import ProjectSource, need_allowed, personal_entities
from infra.promotion import agreed_peers
from infra.runtime import Runtime
from infra.shared import Shared
from infra.stacks.cost import CostStack
from infra.stacks.data import DataStack
from infra.stacks.delivery import DeliveryStack
from infra.stacks.foundation import FoundationStack
from infra.stacks.images import ImagesStack
from infra.stacks.monitoring import MonitoringStack
from infra.stacks.network import NetworkStack
from infra.stacks.pipeline import PipelineStack
from infra.stacks.projects import ProjectsStack
from infra.stacks.promotion import PromotionStack
from infra.stacks.serving import ServingStack
from infra.stacks.tracking import TrackingStack
from passerelle.contracts import tags
from passerelle.contracts.container import IMAGE_REPOSITORY


class Platform(Construct):
    """All stacks of one environment, named `passerelle-<environment>-<stack>`.

    Not a CDK Stage: `cdk deploy --all` looks into the main assembly only.
    """

    def __init__(self, scope: Construct, *, config: PlatformConfig, projects: Sequence[ProjectSource]) -> None:
        need_allowed(config, projects)
        where = Environment(account=config.account, region=config.region)
        named = f"passerelle-{config.name}"
        super().__init__(scope, named)
        self.data = DataStack(
            self,
            "Data",
            config=config,
            personal_entities=personal_entities(projects),
            env=where,
            stack_name=f"{named}-data",
        )
        self.projects = ProjectsStack(
            self,
            "Projects",
            config=config,
            projects=projects,
            data_zones=self.data.zones,
            database_name=self.data.database_name,
            env=where,
            stack_name=f"{named}-projects",
        )
        self.projects.add_stack_dependency(self.data)
        self.foundation = FoundationStack(
            self, "Foundation", config=config, key=self.data.key, env=where, stack_name=f"{named}-foundation"
        )
        shared = Shared(
            config=config,
            zones=self.data.zones,
            runs_table=self.data.runs_table.table_name,
            runs_table_arn=self.data.runs_table.table_arn,
            archive_bucket_arn=f"arn:aws:s3:::cdk-hnb659fds-assets-{config.account}-{config.region}",
            key=self.data.key,
            alerts=self.foundation.alerts,
            layers=self.foundation.layers,
            runtime=self._runtime(config, projects, where, named),
            hash_key_secret=self.data.hash_key_secret,
        )
        self.serving = ServingStack(
            self,
            "Serving",
            shared=shared,
            dead_letters=self.foundation.dead_letters,
            projects=projects,
            env=where,
            stack_name=f"{named}-serving",
        )
        self.pipeline = PipelineStack(
            self,
            "Pipeline",
            shared=shared,
            deploy_model=self.serving.deploy_model,
            env=where,
            stack_name=f"{named}-pipeline",
        )
        self.promotion = self._promotion(shared, where, named)
        self._delivery(config, where, named)
        self._monitoring(shared, projects, where, named)
        self._tag(config)

    def _promotion(self, shared: Shared, where: Environment, named: str) -> PromotionStack | None:
        if shared.config.promotion is None:
            return None
        return PromotionStack(
            self,
            "Promotion",
            shared=shared,
            peers=agreed_peers(shared.config),
            pipeline=self.pipeline,
            deploy_model=self.serving.deploy_model,
            dead_letters=self.foundation.dead_letters,
            env=where,
            stack_name=f"{named}-promotion",
        )

    def _monitoring(self, shared: Shared, projects: Sequence[ProjectSource], where: Environment, named: str) -> None:
        """After every other stack: it gathers the alarms of those."""
        config = shared.config
        others = [item for item in self.node.children if isinstance(item, Stack)]
        monitoring = MonitoringStack(
            self,
            "Monitoring",
            shared=shared,
            judge_role=self.serving.judge_role,
            dead_letters=self.foundation.dead_letters,
            projects=projects,
            env=where,
            pipeline=self.pipeline.pipeline,
            deploy_model=self.serving.deploy_model,
            spark=self.pipeline.spark,
            stack_name=f"{named}-monitoring",
        )
        for stack in others:
            monitoring.add_stack_dependency(stack)
        if config.budget:
            CostStack(
                self,
                "Cost",
                config=config,
                projects=projects,
                alerts=shared.alerts,
                env=where,
                budget=config.budget,
                stack_name=f"{named}-cost",
            )

    def _delivery(self, config: PlatformConfig, where: Environment, named: str) -> None:
        if config.delivery:
            DeliveryStack(
                self,
                "Delivery",
                config=config,
                delivery=config.delivery,
                raw=self.data.zones["raw"],
                runs_table=self.data.runs_table,
                key=self.data.key,
                import_model=self.promotion.import_model if self.promotion else None,
                env=where,
                stack_name=f"{named}-delivery",
            )

    def _runtime(
        self, config: PlatformConfig, projects: Sequence[ProjectSource], where: Environment, named: str
    ) -> Runtime:
        """On AWS: the stacks that the laptop replaces by processes of its own."""
        if config.images.source == "local":
            image = f"{config.account}.dkr.ecr.{config.region}.amazonaws.com/{IMAGE_REPOSITORY}:{config.name}"
            uri = str(config.tracking_uri)
            # A job on the laptop has the laptop's processors, whatever its instance type.
            return Runtime(image_uri=image, gpu_image_uri=image, tracking_settings={"tracking_uri": uri})
        shared: dict[str, Any] = {
            "config": config,
            "env": where,
            "key": self.data.key,
            "alerts": self.foundation.alerts,
            "layers": self.foundation.layers,
            "dead_letters": self.foundation.dead_letters,
        }
        gpu = any(source.project.training.may_use_gpu for source in projects)
        images = ImagesStack(self, "Images", **shared, gpu=gpu, stack_name=f"{named}-images")
        gpu_image = images.training_gpu.uri if images.training_gpu else ""
        network = self._network(config, where, named)
        if not (config.tracking and network and images.tracking):
            return Runtime(
                image_uri=images.training.uri,
                gpu_image_uri=gpu_image,
                spark_image_uri=images.spark.uri if images.spark else "",
                images=config.images.source,
                tracking_settings={"tracking_uri": str(config.tracking_uri)},
                jobs_vpc=network.jobs_vpc if network else {},
            )
        tracking = TrackingStack(
            self,
            "Tracking",
            **shared,
            tracking=config.tracking,
            network=network,
            image=images.tracking,
            artifacts=self.data.zones["models"],
            access_logs=self.data.access_logs,
            stack_name=f"{named}-tracking",
        )
        return Runtime(
            image_uri=images.training.uri,
            gpu_image_uri=gpu_image,
            spark_image_uri=images.spark.uri if images.spark else "",
            images=config.images.source,
            tracking_settings={"tracking_uri": tracking.uri, "tracking_secret": tracking.password.secret_arn},
            jobs_vpc=network.jobs_vpc,
            tracking_statements=[may.allow(["secretsmanager:GetSecretValue"], tracking.password.secret_arn)],
            function_place=Place(network.vpc, network.isolated_subnets, network.functions),
        )

    def _network(self, config: PlatformConfig, where: Environment, named: str) -> NetworkStack | None:
        if config.network is None:
            return None
        return NetworkStack(
            self,
            "Network",
            config=config,
            network=config.network,
            key=self.data.key,
            env=where,
            stack_name=f"{named}-network",
        )

    def _tag(self, config: PlatformConfig) -> None:
        for key, value in {
            tags.ENVIRONMENT: config.name,
            tags.STAGE: config.stage,
            tags.OWNER: config.owner,
            tags.COST_CENTRE: config.cost_centre,
        }.items():
            Tags.of(self).add(key, value)
