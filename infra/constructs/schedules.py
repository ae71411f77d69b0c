"""What EventBridge Scheduler starts: in a role of its own; what it gives up lands among the dead letters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Stack, aws_iam, aws_kms, aws_scheduler, aws_sqs
from constructs import Construct

from infra import permissions as may

_schedule = aws_scheduler.CfnSchedule


class Schedules:
    """The schedules of one role, which may do exactly `statements`. A schedule costs nothing while it is idle."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        statements: Sequence[may.Statement],
        dead_letters: aws_sqs.IQueue,
        key: aws_kms.IKey,
    ) -> None:
        self._dead_letters, self._key = dead_letters, key
        self._role = aws_iam.Role(scope, id_, assumed_by=may.service(Stack.of(scope), "scheduler"))
        for statement in statements:
            self._role.add_to_policy(statement)
        self._role.add_to_policy(may.allow(["sqs:SendMessage"], dead_letters.queue_arn))
        self._role.add_to_policy(may.allow(["kms:Decrypt", "kms:GenerateDataKey"], key.key_arn))

    def add(
        self,
        scope: Construct,
        id_: str,
        *,
        expression: str,
        target_arn: str,
        request: Mapping[str, Any],
        timezone: str | None = None,
        retry: _schedule.RetryPolicyProperty | None = None,
    ) -> None:
        """Start a target at the times that an expression names (Scheduler user guide, "Schedule types")."""
        _schedule(
            scope,
            id_,
            flexible_time_window=_schedule.FlexibleTimeWindowProperty(mode="OFF"),
            schedule_expression=expression,
            schedule_expression_timezone=timezone,
            kms_key_arn=self._key.key_arn,
            target=_schedule.TargetProperty(
                arn=target_arn,
                role_arn=self._role.role_arn,
                dead_letter_config=_schedule.DeadLetterConfigProperty(arn=self._dead_letters.queue_arn),
                input=json.dumps(request),
                retry_policy=retry,
            ),
        )
