"""What a deployment costs a month, from its templates, a usage file and the price table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from passerelle.domain.cost.estimate.families import PRICERS, why_free
from passerelle.domain.cost.estimate.free_tier import less_free_tier
from passerelle.domain.cost.estimate.intrinsics import Reference, Unknown
from passerelle.domain.cost.estimate.parts import Component, Estimate, Item
from passerelle.domain.cost.estimate.resource import Resource
from passerelle.domain.cost.estimate.stacks import Declared, Deployment, Stack
from passerelle.domain.cost.estimate.usage import UnpricedError, Usage, defaults, fits
from passerelle.domain.cost.prices import price_rows

#: Types whose use is assumed as that of another type.
_USED_AS: Final = {
    "AWS::DynamoDB::GlobalTable": "AWS::DynamoDB::Table",
    "AWS::Serverless::Api": "AWS::ApiGateway::RestApi",
    "AWS::Serverless::Function": "AWS::Lambda::Function",
    "AWS::Serverless::HttpApi": "AWS::ApiGatewayV2::Api",
    "AWS::Serverless::StateMachine": "AWS::StepFunctions::StateMachine",
}
#: The stage of what is there for all projects and runs.
PLATFORM: Final = "platform"
_GLOBAL: Final = "global"


def estimate(
    stacks: Iterable[Stack],
    *,
    region: str,
    usage: Usage | None = None,
    account: str | None = None,
    more: Iterable[Item] = (),
    free_tier: bool = False,
) -> Estimate:
    """Return what stacks cost a month.

    Parameters
    ----------
    more : what else is paid, such as the endpoints of projects, which no stack makes.
    """
    usage = usage or Usage()
    deployment = Deployment.of(stacks, region=region, account=account)
    items = (*_items(deployment, usage), *more)
    problems = (*usage.problems, *deployment.problems, *_unmet(usage, items), *_unknown_region(region))
    return Estimate(
        region=region,
        items=less_free_tier(items) if free_tier else items,
        assumptions=tuple(assumed(items, usage)),
        problems=problems,
        free_tier=free_tier,
    )


def _items(deployment: Deployment, usage: Usage) -> Iterator[Item]:
    found = {(item.stack, item.logical_id): item for item in deployment.declared}
    by_id: dict[str, Declared] = {}
    for item in deployment.declared:
        by_id.setdefault(item.logical_id, item)
    schedules = tuple(deployment.schedules())

    def resource_of(item: Declared) -> Resource:
        used_as = _USED_AS.get(item.type, item.type)
        names = (item.logical_id, f"{item.stack}/{item.logical_id}", item.path)
        used = usage.of(used_as, tuple(name for name in names if name))

        def find(text: str) -> Resource | None:
            if not text.startswith("${"):
                return None
            name = Reference(text).logical_id
            other = found.get((item.stack, name)) or by_id.get(name)
            return resource_of(other) if other else None

        return Resource(item.logical_id, item.type, item.properties, deployment.region, used, find, schedules)

    for item in deployment.declared:
        yield _item(item, resource_of)


def _item(item: Declared, resource_of: Callable[[Declared], Resource]) -> Item:
    components: list[Component] = []
    reasons: list[str] = []
    pricer = PRICERS.get(item.type)
    tags: Mapping[str, str] = {}
    if pricer:
        resource = resource_of(item)
        tags = _tags(resource.properties)
        try:
            components.extend(pricer(resource))
        except UnpricedError as error:
            reasons.append(str(error))
    return Item(
        stack=item.stack,
        stage=PLATFORM,
        name=item.logical_id,
        type=item.type,
        path=item.path,
        components=tuple(components),
        reasons=tuple(reasons),
        supported=pricer is not None or why_free(item.type) is not None,
        tags=tags,
    )


def _tags(properties: Mapping[str, Any]) -> Mapping[str, str]:
    found = properties.get("Tags")
    if not isinstance(found, list):
        return {}
    pairs = [(item.get("Key"), item.get("Value")) for item in found if isinstance(item, Mapping)]
    return {str(key): str(value) for key, value in pairs if not isinstance(value, Unknown)}


def assumed(items: Iterable[Item], usage: Usage) -> Iterator[str]:
    """Yield what is assumed of the types that there are, in words."""
    types = sorted({_USED_AS.get(item.type, item.type) for item in items})
    for type_ in types:
        told = [
            f"{default.value:,.10g} {default.what}"
            for key, default in defaults().get(type_, {}).items()
            if key not in usage.by_type.get(type_, {})
        ]
        if told:
            yield f"{type_}: {', '.join(told)}"


def _unmet(usage: Usage, items: Iterable[Item]) -> Iterator[str]:
    """Yield which lines of the usage file mean nothing that there is."""
    names = [name for item in items for name in (item.name, item.address, item.path) if name]
    for pattern in usage.by_resource:
        if not any(fits(pattern, name) for name in names):
            yield f"usage of {pattern}: no resource has this name; resources are named STACK/LOGICAL_ID"


def known_regions() -> tuple[str, ...]:
    """Return the regions of which any price is known."""
    return tuple(sorted({row.region for row in price_rows() if row.usd is not None} - {_GLOBAL}))


def _unknown_region(region: str) -> Iterator[str]:
    if region not in known_regions():
        yield f"region {region!r}: not one price of it is in the table; there are {', '.join(known_regions())}"
