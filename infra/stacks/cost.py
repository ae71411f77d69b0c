"""Who is told when an environment or a project costs more than it may, or more than it used to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from aws_cdk import Stack, Tags, aws_budgets, aws_ce, aws_sns
from constructs import Construct

from infra.config import PlatformConfig
from infra.config_slots import EnvironmentBudget
from infra.projects import ProjectSource
from passerelle.contracts import tags

Expression = aws_budgets.CfnBudget.ExpressionProperty


class CostStack(Stack):
    """Budgets and a watch for unusual costs, by cost allocation tags. Both are free.

    AWS knows costs 8 to 24 hours late: nothing here can stop a job. The tags must be activated once per account, by its
    payer (docs/monitoring.md); until then the budgets stay at 0.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: PlatformConfig,
        budget: EnvironmentBudget,
        projects: Sequence[ProjectSource],
        alerts: aws_sns.ITopic,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        self._rules, self._alerts = budget, alerts
        own = _tagged(tags.ENVIRONMENT, config.name)
        self._budget("Environment", f"passerelle-{config.name}", budget.monthly_usd, own)
        for source in projects:
            project = source.project
            both = Expression(and_=[own, _tagged(tags.PROJECT, project.name)])
            name = f"passerelle-{config.name}-{project.name}"
            made = self._budget(f"Project-{project.name}", name, project.budget.monthly_usd, both)
            Tags.of(made).add(tags.PROJECT, project.name)
            Tags.of(made).add(tags.COST_CENTRE, project.budget.cost_centre)
        self._unusual(config)

    def _budget(self, id_: str, name: str, usd: float, expression: Expression) -> aws_budgets.CfnBudget:
        told = [("ACTUAL", percent) for percent in self._rules.actual_percents]
        told.append(("FORECASTED", self._rules.forecast_percent))
        # Other notifications replace the budget, and while both are there no two may have one name.
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:6]
        return aws_budgets.CfnBudget(
            self,
            id_,
            budget=aws_budgets.CfnBudget.BudgetDataProperty(
                budget_name=f"{name}-{digest}",
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=aws_budgets.CfnBudget.SpendProperty(amount=usd, unit="USD"),
                filter_expression=expression,
                metrics=["UnblendedCost"],
            ),
            notifications_with_subscribers=[
                aws_budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=aws_budgets.CfnBudget.NotificationProperty(
                        notification_type=kind,
                        comparison_operator="GREATER_THAN",
                        threshold=percent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=[
                        aws_budgets.CfnBudget.SubscriberProperty(
                            subscription_type="SNS", address=self._alerts.topic_arn
                        )
                    ],
                )
                for kind, percent in told
            ],
        )

    def _unusual(self, config: PlatformConfig) -> None:
        """By tag: an account has one monitor over all services only, and AWS made it already."""
        monitor = aws_ce.CfnAnomalyMonitor(
            self,
            "Monitor",
            monitor_name=f"passerelle-{config.name}",
            monitor_type="CUSTOM",
            monitor_specification=json.dumps(
                {"Tags": {"Key": tags.ENVIRONMENT, "Values": [config.name], "MatchOptions": ["EQUALS"]}}
            ),
        )
        impact = {
            "Key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
            "MatchOptions": ["GREATER_THAN_OR_EQUAL"],
            "Values": [f"{self._rules.anomaly_usd:g}"],
        }
        aws_ce.CfnAnomalySubscription(
            self,
            "Unusual",
            subscription_name=f"passerelle-{config.name}",
            # Topics are told at once only (API reference, AnomalySubscription).
            frequency="IMMEDIATE",
            monitor_arn_list=[monitor.attr_monitor_arn],
            subscribers=[aws_ce.CfnAnomalySubscription.SubscriberProperty(type="SNS", address=self._alerts.topic_arn)],
            threshold_expression=json.dumps({"Dimensions": impact}),
        )


def _tagged(key: str, value: str) -> Expression:
    values = aws_budgets.CfnBudget.TagValuesProperty(key=key, values=[value], match_options=["EQUALS"])
    return Expression(tags=values)
