"""Stop the tracking server out of hours: tasks and database cost by the hour."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aws_cdk import Duration, Stack, aws_ecs, aws_iam, aws_kms, aws_scheduler, aws_sqs
from constructs import Construct

from infra import permissions as may
from infra.config_parts import Hours
from infra.constructs.tracking_database import TrackingDatabase

#: A stopped database needs some minutes to start; the server comes after it.
_HEAD_START_MINUTES = 15


class WorkingHours(Construct):
    """Four schedules, Monday to Friday. AWS itself starts a database again that was stopped for seven days."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        hours: Hours,
        cluster: aws_ecs.Cluster,
        service: aws_ecs.FargateService,
        tasks: int,
        database: TrackingDatabase,
        dead_letters: aws_sqs.IQueue,
        key: aws_kms.IKey,
    ) -> None:
        super().__init__(scope, id_)
        stack = Stack.of(self)
        self._hours, self._dead_letters = hours, dead_letters
        self._role = aws_iam.Role(
            self,
            "Role",
            assumed_by=may.service(stack, "scheduler"),
        )
        database_arn = f"arn:{stack.partition}:rds:{stack.region}:{stack.account}:db:{database.instance.ref}"
        self._role.add_to_policy(may.allow(["ecs:UpdateService"], service.service_arn))
        self._role.add_to_policy(may.allow(["rds:StartDBInstance", "rds:StopDBInstance"], database_arn))
        self._role.add_to_policy(may.allow(["sqs:SendMessage"], dead_letters.queue_arn))
        self._role.add_to_policy(may.allow(["kms:Decrypt", "kms:GenerateDataKey"], key.key_arn))
        scale = {"Cluster": cluster.cluster_name, "Service": service.service_name}
        instance = {"DbInstanceIdentifier": database.instance.ref}
        stop = 0 if hours.stop == 24 else hours.stop
        days = "TUE-SAT" if hours.stop == 24 else "MON-FRI"
        before = (hours.start - 1) % 24, 60 - _HEAD_START_MINUTES
        early = "SUN-THU" if hours.start == 0 else "MON-FRI"
        self._schedule("StopServer", f"0 {stop} ? * {days} *", "ecs:updateService", {**scale, "DesiredCount": 0})
        self._schedule("StopDatabase", f"10 {stop} ? * {days} *", "rds:stopDBInstance", instance)
        self._schedule("StartDatabase", f"{before[1]} {before[0]} ? * {early} *", "rds:startDBInstance", instance)
        start = {**scale, "DesiredCount": tasks}
        self._schedule("StartServer", f"0 {hours.start} ? * MON-FRI *", "ecs:updateService", start)

    def _schedule(self, id_: str, cron: str, call: str, arguments: Mapping[str, object]) -> None:
        aws_scheduler.CfnSchedule(
            self,
            id_,
            schedule_expression=f"cron({cron})",
            schedule_expression_timezone=self._hours.timezone,
            flexible_time_window=aws_scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=aws_scheduler.CfnSchedule.TargetProperty(
                arn=f"arn:{Stack.of(self).partition}:scheduler:::aws-sdk:{call}",
                role_arn=self._role.role_arn,
                input=json.dumps(arguments),
                dead_letter_config=aws_scheduler.CfnSchedule.DeadLetterConfigProperty(arn=self._dead_letters.queue_arn),
                retry_policy=aws_scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_retry_attempts=10, maximum_event_age_in_seconds=int(Duration.hours(1).to_seconds())
                ),
            ),
        )
