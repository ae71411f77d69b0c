"""Who acts: the parts of AWS that take on a role, with MiniStack's own evaluator of policies as the judge.

On AWS a service that acts for you assumes a role that trusts it. MiniStack does that for functions; here Step
Functions, SageMaker and Scheduler do, too. Where policies are not enforced, everybody may do everything.
"""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

from laptop.access import ANYBODY, Keys, derived_keys
from laptop.mlflow_server import ARTIFACT_BUCKET, IDENTITY
from laptop.settings import LaptopSettings
from laptop.surroundings import RefusedError

Result = TypeVar("Result")
_MLFLOW_POLICY: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket*", "s3:GetObject*", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            "Resource": [f"arn:aws:s3:::{ARTIFACT_BUCKET}", f"arn:aws:s3:::{ARTIFACT_BUCKET}/*"],
        }
    ],
}


class Identities:
    """Sessions of roles, and what they may do; any thread may ask."""

    def __init__(self, settings: LaptopSettings) -> None:
        self._settings = settings

    def take_on(self, role: str, service: str, *, source: str, session: str) -> Keys:
        """Return temporary credentials of a role for a service, such as sagemaker.amazonaws.com.

        Raises RefusedError when there is no such role, or it does not trust that service for that `source`.
        """
        if not self._settings.enforce:
            return ANYBODY
        return self._apart(lambda: self._take_on(role, service, source, session))

    def _take_on(self, role: str, service: str, source: str, session: str) -> Keys:
        from ministack.core import iam_evaluator
        from ministack.services import iam, sts

        account, name = self._settings.account_id, role.rsplit("/", 1)[-1]
        record = iam._roles.get_scoped(account, None, name)
        asked = self._context(
            f"arn:aws:sts::{account}:{service}", "sts:AssumeRole", role, {"sourcearn": source, "sourceaccount": account}
        )
        trusted = record and iam_evaluator.evaluate_resource_policy(
            record["AssumeRolePolicyDocument"], asked, service=service
        )
        if not trusted or trusted.decision != "Allow":
            raise RefusedError(
                f"Could not assume role {role}. Please ensure that the role exists and allows principal '{service}' "
                "to assume the role."
            )
        keys = derived_keys(self._settings, f"{role}/{session}")
        sts.register_session(
            keys.access_key_id,
            {
                "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
                "UserId": f"{name}:{session}",
                "SecretAccessKey": keys.secret_access_key,
                "SessionToken": keys.session_token,
            },
        )
        return keys

    def check(self, access_key: str, action: str, resource: str, conditions: dict[str, str] | None = None) -> None:
        """Raise RefusedError, in AWS's words, unless whose key it is may do this."""
        if self._settings.enforce:
            self._apart(lambda: self._check(access_key, action, resource, conditions or {}))

    def _check(self, access_key: str, action: str, resource: str, conditions: dict[str, str]) -> None:
        from ministack.core import iam_evaluator

        service, region = action.partition(":")[0], self._settings.region
        refused = iam_evaluator.enforce(
            access_key, action, service, region, resource_arn=resource, service_context=conditions
        )
        if refused is None:
            return
        if isinstance(refused, iam_evaluator.AuthError):
            raise RefusedError(refused.message)
        raise RefusedError(_words(refused.principal_arn, action, resource))

    def check_service(self, service: str, action: str, function: str, *, source: str) -> None:
        """Raise RefusedError unless a function's own policy lets a service do this for that `source`."""
        if self._settings.enforce:
            self._apart(lambda: self._check_service(service, action, function, source))

    def _check_service(self, service: str, action: str, function: str, source: str) -> None:
        from ministack.core import iam_evaluator
        from ministack.services import lambda_svc

        account = self._settings.account_id
        found = lambda_svc.function_policy_for_arn(function)
        asked = self._context(service, action, function, {"sourcearn": source, "sourceaccount": account})
        answer = found and iam_evaluator.evaluate_resource_policy(found[0], asked, service=service)
        if not answer or answer.decision != "Allow":
            raise RefusedError(_words(service, action, function))

    def register_tracking_server(self) -> None:
        """Let MLflow's keys reach its bucket and nothing else: on AWS a task role does."""
        if not self._settings.enforce:
            return
        from ministack.services import sts

        keys = derived_keys(self._settings, IDENTITY)
        sts.register_session(
            keys.access_key_id,
            {
                "Arn": f"arn:aws:sts::{self._settings.account_id}:federated-user/{IDENTITY}",
                "UserId": f"{self._settings.account_id}:{IDENTITY}",
                "PrincipalType": "FederatedUser",
                "SecretAccessKey": keys.secret_access_key,
                "SessionToken": keys.session_token,
                "SessionPolicies": {"Policy": json.dumps(_MLFLOW_POLICY)},
            },
        )

    def _context(self, principal: str, action: str, resource: str, keys: dict[str, str]) -> Any:
        from ministack.core import iam_evaluator

        return iam_evaluator.EvalContext(
            principal_arn=principal,
            principal_type="Service",
            principal_account=self._settings.account_id,
            action=action,
            resource_arn=resource,
            region=self._settings.region,
            service_context={f"aws:{name}": value for name, value in keys.items()},
        )

    def _apart(self, function: Callable[[], Result]) -> Result:
        """Run without what the current request has left in context variables: another caller, another transport."""
        from ministack.core import iam_evaluator
        from ministack.core.responses import request_scope

        def run() -> Result:
            iam_evaluator.pin_request_origin("127.0.0.1", True)  # services call each other over TLS
            with request_scope(self._settings.account_id, self._settings.region):
                return function()

        return contextvars.Context().run(run)


def _words(principal: str, action: str, resource: str) -> str:
    return (
        f"User: {principal} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )
