"""Which jobs of GitHub Actions this account believes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import yaml
from aws_cdk import Stack, aws_iam
from constructs import Construct

from infra import config as environments
from infra.config import PlatformConfig
from infra.config_parts import Delivery
from passerelle.errors import SettingsError

ISSUER: Final = "token.actions.githubusercontent.com"
AUDIENCE: Final = "sts.amazonaws.com"


class GithubProvider(Construct):
    """The account's one OpenID Connect provider for GitHub, made here or found. It costs nothing."""

    def __init__(self, scope: Construct, id_: str, *, config: PlatformConfig, delivery: Delivery) -> None:
        super().__init__(scope, id_)
        self._delivery = delivery
        stack = Stack.of(self)
        self._arn = f"arn:{stack.partition}:iam::{config.account}:oidc-provider/{ISSUER}"
        if delivery.provider == "create":
            need_sole_creator(config)
            provider = aws_iam.OidcProviderNative(self, "Provider", url=f"https://{ISSUER}", client_ids=[AUDIENCE])
            self._arn = provider.oidc_provider_arn

    def jobs_in_environment(self, name: str) -> aws_iam.IPrincipal:
        """Jobs that run in a GitHub environment, and from the release branch only.

        The subject of such a job names no branch, so the branch is asked of its own claim, which STS validates for
        GitHub (IAM user guide, "Available keys for AWS OIDC federation"; announced January 2026).
        """
        return self._jobs([f"environment:{name}"], {f"{ISSUER}:ref": self._branch})

    def jobs_that_read(self) -> aws_iam.IPrincipal:
        """Jobs of pull requests (GitHub gives forks no token) and of the release branch."""
        return self._jobs(["pull_request", f"ref:{self._branch}"], {})

    @property
    def _branch(self) -> str:
        return f"refs/heads/{self._delivery.branch}"

    def _jobs(self, subjects: Sequence[str], more: dict[str, str]) -> aws_iam.IPrincipal:
        named = [f"repo:{self._delivery.repository}:{subject}" for subject in subjects]
        claims: dict[str, Any] = {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": named, **more}
        return aws_iam.WebIdentityPrincipal(self._arn, {"StringEquals": claims})


def need_sole_creator(config: PlatformConfig) -> None:
    """Raise SettingsError when another environment makes the same account's provider: IAM allows one for each URL."""
    for path in sorted(environments.FOLDER.glob("*.yaml")):
        other = yaml.safe_load(path.read_text(encoding="utf-8"))
        delivery = other.get("delivery") or {}
        same_account = str(other.get("account")) == config.account
        if path.stem != config.name and same_account and delivery.get("provider") == "create":
            raise SettingsError(
                f"{environments.FOLDER / config.name}.yaml: delivery.provider: account {config.account} is also that "
                f"of {path.stem}, which makes GitHub's identity provider there, and an account has one. Give each "
                "environment an account of its own, or write `provider: existing` in one of the two."
            )
