"""Between which environments models are carried: both must say so, each in its own file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra import config as configuration
from infra.config import PlatformConfig
from passerelle.errors import SettingsError


@dataclass(frozen=True)
class Peer:
    """Another environment: where it is."""

    name: str
    account: str
    region: str


@dataclass(frozen=True)
class Peers:
    """The environment that this one takes models from, and those that may take its own."""

    source: Peer | None = None
    takers: tuple[Peer, ...] = ()


def agreed_peers(config: PlatformConfig) -> Peers:
    """Return the peers of an environment.

    Raises SettingsError naming file, field and remedy where the other environment does not say the same.
    """
    promotion = config.promotion
    if promotion is None:
        return Peers()
    source = None
    if promotion.takes_from:
        field, document = _read(config, "takes_from", promotion.takes_from)
        if config.name not in (document.get("promotion") or {}).get("gives_to", ()):
            raise SettingsError(
                f"{field}: {promotion.takes_from} does not give models to {config.name}; write `promotion: {{gives_to: "
                f"[{config.name}]}}` into environments/{promotion.takes_from}.yaml, or leave this out"
            )
        source = _peer(promotion.takes_from, document)
    takers = []
    for name in promotion.gives_to:
        field, document = _read(config, "gives_to", name)
        if (document.get("promotion") or {}).get("takes_from") != config.name:
            raise SettingsError(
                f"{field}: {name} does not take models from {config.name}; write `promotion: {{takes_from: "
                f"{config.name}}}` into environments/{name}.yaml, or leave it out here: nobody gets a role for nothing"
            )
        takers.append(_peer(name, document))
    return Peers(source, tuple(takers))


def _read(config: PlatformConfig, name: str, other: str) -> tuple[str, dict[str, Any]]:
    """Return the field in words, and the other environment's file; of that only what concerns this one is looked at."""
    field = f"{configuration.FOLDER / config.name}.yaml: promotion.{name}"
    path = Path(configuration.FOLDER / f"{other}.yaml")
    if not path.is_file():
        raise SettingsError(f"{field}: there is no environment {other!r} ({path})")
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if str(document.get("account")) == config.account:
        raise SettingsError(
            f"{field}: {other} is in the account of {config.name} ({config.account}), where names of models would "
            "collide; models are carried between environments of different accounts"
        )
    return field, dict(document)


def _peer(name: str, document: dict[str, Any]) -> Peer:
    return Peer(name, str(document["account"]), str(document["region"]))


def reader_role_name(source: str, taker: str) -> str:
    """Name of the role that an environment lends to another: both sides build it alike."""
    return f"passerelle-{source}-models-for-{taker}"


def importer_role_name(taker: str) -> str:
    """Name of the one role that may take on the other environment's reader role."""
    return f"passerelle-{taker}-import-run"


def training_repositories(environment: str, *, takes: bool) -> tuple[str, ...]:
    """Return the repositories of the images that trained an environment's models: its own, and those carried to it."""
    return (f"passerelle-{environment}-training", *([carried_repository(environment)] if takes else []))


def carried_repository(environment: str) -> str:
    """Name of the repository of images that came with models from another environment."""
    return f"passerelle-{environment}-carried"
