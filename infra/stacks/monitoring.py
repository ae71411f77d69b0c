"""What watches an environment: its projects' windows and costs, one state of health, dashboards for it and for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Stack, Tags, aws_cloudwatch, aws_cloudwatch_actions, aws_iam, aws_sqs
from constructs import Construct

from infra.constructs.alarm import AlertTopic, alarm_name
from infra.constructs.cost_meter import add_cost_meter
from infra.constructs.platform_dashboard import PlatformDashboard
from infra.constructs.project_dashboard import ProjectDashboard
from infra.constructs.project_monitors import add_monitors
from infra.constructs.spark_application import SparkApplication
from infra.constructs.state_machine import StateMachine
from infra.projects import ProjectSource
from infra.resource_parameters import publish_resources
from infra.shared import Shared
from passerelle.contracts import tags


class MonitoringStack(Stack):
    """Alarms are made beside what they watch; here they come together, by their names.

    Made after all other stacks: `alerts` knows the alarms of those. Idle, it costs 0.50 USD a month for the composite
    alarm, and 3 USD for each dashboard beyond the account's three free ones.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        shared: Shared,
        judge_role: aws_iam.IRole,
        dead_letters: aws_sqs.IQueue,
        projects: Sequence[ProjectSource],
        pipeline: StateMachine,
        deploy_model: StateMachine,
        spark: SparkApplication | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        config, alerts = shared.config, shared.alerts
        watch = add_monitors(self, shared, judge_role, dead_letters, projects, pipeline)
        meter = add_cost_meter(
            self, shared, dead_letters, pipeline=pipeline, deploy_model=deploy_model, watch=watch, spark=spark
        )
        publish_resources(
            self,
            config.name,
            {"watch-project": watch.machine.state_machine_arn, "meter-costs": meter.function.function_name},
        )
        paged = [item.name for item in alerts.raised if item.severity == "page"]
        self._unhealthy(alerts, paged)
        PlatformDashboard(
            self,
            "Platform",
            config=config,
            pipeline=pipeline.machine,
            deploy_model=deploy_model.machine,
            watched=[alarm_name(self, "Unhealthy"), *paged],
        )
        for source in projects:
            page = ProjectDashboard(self, f"Project-{source.project.name}", config=config, project=source.project)
            Tags.of(page).add(tags.PROJECT, source.project.name)
            Tags.of(page).add(tags.COST_CENTRE, source.project.budget.cost_centre)

    def _unhealthy(self, alerts: AlertTopic, paged: Sequence[str]) -> None:
        """One state for the whole environment. It does not page: each alarm that it gathers has paged already."""
        gathered = [
            aws_cloudwatch.AlarmRule.from_alarm(
                aws_cloudwatch.Alarm.from_alarm_name(self, f"Gathered-{name}", name), aws_cloudwatch.AlarmState.ALARM
            )
            for name in paged
        ]
        made = aws_cloudwatch.CompositeAlarm(
            self,
            "Unhealthy",
            composite_alarm_name=alarm_name(self, "Unhealthy"),
            alarm_rule=aws_cloudwatch.AlarmRule.any_of(*gathered),
            alarm_description=(
                "Something of the platform is down or lost. Look which alarm of this one rings, and follow its line. "
                "Runbook: docs/operations.md, Alarms."
            ),
        )
        made.add_alarm_action(aws_cloudwatch_actions.SnsAction(alerts))
