"""Stop the tracking server out of hours: tasks and database cost by the hour."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration, Stack, aws_ecs, aws_kms, aws_scheduler, aws_sqs
from constructs import Construct

from infra import permissions as may
from infra.config_parts import Hours
from infra.constructs.schedules import Schedules
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
        self._hours = hours
        database_arn = f"arn:{stack.partition}:rds:{stack.region}:{stack.account}:db:{database.instance.ref}"
        self._schedules = Schedules(
            self,
            "Role",
            statements=[
                may.allow(["ecs:UpdateService"], service.service_arn),
                may.allow(["rds:StartDBInstance", "rds:StopDBInstance"], database_arn),
            ],
            dead_letters=dead_letters,
            key=key,
        )
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
        self._schedules.add(
            self,
            id_,
            expression=f"cron({cron})",
            target_arn=f"arn:{Stack.of(self).partition}:scheduler:::aws-sdk:{call}",
            request=arguments,
            timezone=self._hours.timezone,
            retry=aws_scheduler.CfnSchedule.RetryPolicyProperty(
                maximum_retry_attempts=10, maximum_event_age_in_seconds=int(Duration.hours(1).to_seconds())
            ),
        )
