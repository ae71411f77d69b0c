"""What every command shares: the environment it talks to, and how it prints."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from passerelle.errors import SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from laptop.settings import LaptopSettings
    from passerelle.aws.deployed import DeployedPlatform

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
LAPTOP = "laptop"
FILE_COLUMNS = 200


@dataclass(frozen=True)
class Session:
    """One invocation of the command line."""

    environment: str = LAPTOP
    as_json: bool = False

    def told(self, environment: str | None, as_json: bool) -> Session:
        """Return the session as options after the command want it."""
        return Session(environment=environment or self.environment, as_json=as_json or self.as_json)

    @property
    def on_laptop(self) -> bool:
        return self.environment == LAPTOP

    @cached_property
    def console(self) -> Console:
        """Where people read: standard output, or standard error when standard output carries JSON."""
        from rich.console import Console

        shown = sys.stderr if self.as_json else sys.stdout
        # In a file or a pipe nothing limits the width, and tables cut at 80 columns lose what people grep for.
        width = None if shown.isatty() or os.environ.get("COLUMNS") else FILE_COLUMNS
        return Console(stderr=self.as_json, highlight=False, width=width)

    @cached_property
    def laptop_settings(self) -> LaptopSettings:
        from laptop.settings import LaptopSettings

        return LaptopSettings.from_env()

    def switch(self, *, enforce: bool | None, tls: bool | None) -> None:
        """Override how the laptop is started; None leaves it as it was last time, or as the environment says."""
        from laptop.settings import LaptopSettings

        given = {"PASSERELLE_ENFORCE": enforce, "PASSERELLE_TLS": tls}
        environ = {**os.environ, **{name: str(int(value)) for name, value in given.items() if value is not None}}
        self.__dict__["laptop_settings"] = LaptopSettings.from_env(environ)

    @cached_property
    def platform(self) -> DeployedPlatform:
        """The deployed environment, reached through AWS's APIs only."""
        from passerelle.aws.deployed import DeployedPlatform

        if self.on_laptop:
            from laptop.access import administrator, authority

            settings, keys = self.laptop_settings, administrator(self.laptop_settings)
            return DeployedPlatform.on_laptop(
                settings.endpoint_url,
                region=settings.region,
                keys=(keys.access_key_id, keys.secret_access_key),
                authority=authority(settings),
            )
        return DeployedPlatform.on_aws(self.environment)

    def need_laptop(self, command: str) -> None:
        """Refuse a command that makes sense only for the embedded AWS."""
        if not self.on_laptop:
            raise SettingsError(f"`passerelle {command}` works on the laptop only, not with --env {self.environment}.")

    def print_json(self, document: Any) -> None:
        """Print one JSON document on standard output."""
        click.echo(json.dumps(document, indent=2, default=str, ensure_ascii=False))


def common_options(command: CommandT) -> CommandT:
    """Let --env and --json be given after the command too; `Session.told` heeds them."""
    for option in (
        click.option("--env", "environment", help="The same as before the command: `passerelle --env dev …`."),
        click.option("--json", "as_json", is_flag=True, help="The same as before the command."),
    ):
        command = option(command)
    return command
