"""One environment: the only place that knows all stacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Environment, Tags
from constructs import Construct

from infra.config import PlatformConfig
from infra.projects import ProjectSource
from infra.stacks.data import DataStack
from infra.stacks.foundation import FoundationStack
from infra.stacks.pipeline import PipelineStack
from infra.stacks.projects import ProjectsStack
from infra.stacks.serving import ServingStack


class Platform(Construct):
    """All stacks of one environment, named `passerelle-<environment>-<stack>`.

    Not a CDK Stage: `cdk deploy --all` looks into the main assembly only.
    """

    def __init__(self, scope: Construct, *, config: PlatformConfig, projects: Sequence[ProjectSource]) -> None:
        where = Environment(account=config.account, region=config.region)
        named = f"passerelle-{config.name}"
        super().__init__(scope, named)
        self.data = DataStack(self, "Data", config=config, env=where, stack_name=f"{named}-data")
        self.projects = ProjectsStack(
            self,
            "Projects",
            config=config,
            projects=projects,
            curated=self.data.zones["curated"],
            database_name=self.data.database_name,
            env=where,
            stack_name=f"{named}-projects",
        )
        self.projects.add_stack_dependency(self.data)
        self.foundation = FoundationStack(
            self, "Foundation", config=config, key=self.data.key, env=where, stack_name=f"{named}-foundation"
        )
        shared: dict[str, Any] = {
            "config": config,
            "env": where,
            "zones": self.data.zones,
            "runs_table": self.data.runs_table.table_name,
            "runs_table_arn": self.data.runs_table.table_arn,
            "archive_bucket_arn": f"arn:aws:s3:::cdk-hnb659fds-assets-{config.account}-{config.region}",
            "key": self.data.key,
            "alerts": self.foundation.alerts,
            "layers": self.foundation.layers,
        }
        self.serving = ServingStack(self, "Serving", **shared, stack_name=f"{named}-serving")
        self.pipeline = PipelineStack(
            self, "Pipeline", **shared, deploy_model=self.serving.deploy_model, stack_name=f"{named}-pipeline"
        )
        for key, value in {
            "passerelle:environment": config.name,
            "passerelle:stage": config.stage,
            "passerelle:owner": config.owner,
            "passerelle:cost-centre": config.cost_centre,
        }.items():
            Tags.of(self).add(key, value)
