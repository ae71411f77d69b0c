"""How much is used a month: a usage file as Infracost reads it, and stated defaults for what it leaves out."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

from passerelle.errors import InputError

CURRENCY: Final = "USD"
_SECTIONS: Final = ("version", "currency", "resource_type_default_usage", "resource_usage")


class UnpricedError(Exception):
    """Something of a resource has no price; the message says what and why."""


@dataclass(frozen=True)
class Default:
    """What is assumed of a resource type, and in which words."""

    value: float
    what: str


@cache
def defaults() -> Mapping[str, Mapping[str, Default]]:
    """Return what is assumed, by resource type and key."""
    found: dict[str, dict[str, Default]] = {}
    with files("passerelle.domain.cost.estimate").joinpath("usage_defaults.csv").open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            found.setdefault(line["type"], {})[line["key"]] = Default(float(line["value"]), line["what"])
    return found


@dataclass(frozen=True)
class Usage:
    """What a usage file says: by resource type, and by resource, where `*` stands for anything."""

    by_type: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    by_resource: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def of(self, type_: str, names: tuple[str, ...]) -> Mapping[str, Any]:
        """Return what is used of one resource: its own lines before those of its type, before the defaults.

        A pattern without `*` goes before one with, and of these the longer one.
        """
        found: dict[str, Any] = {key: default.value for key, default in defaults().get(type_, {}).items()}
        found |= self.by_type.get(type_, {})
        fitting = [pattern for pattern in self.by_resource if any(fits(pattern, name) for name in names)]
        for pattern in sorted(fitting, key=lambda pattern: ("*" not in pattern, len(pattern))):
            found |= self.by_resource[pattern]
        return found


def fits(pattern: str, name: str) -> bool:
    """Return whether a pattern means a name; Infracost writes `name[*]` for each of several."""
    return fnmatchcase(name, pattern.replace("[*]", "*").replace("[", "[[]"))


def amount(usage: Mapping[str, Any], key: str) -> float:
    """Return how much of something is used.

    Raises UnpricedError for what is no quantity.
    """
    value = usage.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise UnpricedError(f"usage {key}: {value!r} is no quantity; write a number of 0 or more")
    return float(value)


def read_usage(text: str, *, source: str) -> Usage:
    """Return what a usage file says; InputError for one that cannot be read."""
    try:
        document = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{source} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"{source}: a usage file is a mapping with {', '.join(_SECTIONS)}.")
    by_type = _section(document, "resource_type_default_usage", source)
    by_resource = _section(document, "resource_usage", source)
    return Usage(by_type, by_resource, tuple(_problems(document, by_type, by_resource, source)))


def _section(document: Mapping[str, Any], name: str, source: str) -> Mapping[str, Mapping[str, Any]]:
    section = document.get(name) or {}
    if not isinstance(section, dict):
        raise InputError(f"{source}: {name}: expected names with quantities below them, found {section!r}.")
    for key, lines in section.items():
        if not isinstance(lines, dict):
            raise InputError(f"{source}: {name}.{key}: expected quantities such as `monthly_requests: 1000`.")
    return {str(key): lines for key, lines in section.items()}


def _problems(
    document: Mapping[str, Any],
    by_type: Mapping[str, Mapping[str, Any]],
    by_resource: Mapping[str, Mapping[str, Any]],
    source: str,
) -> Iterator[str]:
    strange = sorted(set(map(str, document)) - set(_SECTIONS))
    if strange:
        yield f"{source}: {', '.join(strange)}: not known and left out; there are {', '.join(_SECTIONS)}."
    currency = document.get("currency", CURRENCY)
    if currency != CURRENCY:
        yield f"{source}: currency: {currency!r}: AWS's list prices are in USD, and nothing is converted."
    every = {key for keys in defaults().values() for key in keys}
    for type_, lines in by_type.items():
        known = set(defaults().get(type_, {}))
        if unknown := sorted(set(lines) - known):
            told = f"known: {', '.join(sorted(known))}" if known else "nothing is assumed of this type"
            yield f"{source}: resource_type_default_usage.{type_}: {', '.join(unknown)}: not known; {told}."
    for pattern, lines in by_resource.items():
        if unknown := sorted(set(lines) - every):
            yield f"{source}: resource_usage.{pattern}: {', '.join(unknown)}: not known and left out."
