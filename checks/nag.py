"""cdk-nag runs in each synthesis; here its record is read, lest a pack or an acknowledgement be there for nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from checks.outcome import ENVIRONMENTS, Outcome

PACKS: Final = ("AwsSolutions", "NIST.800.53.R5")
REMEDY: Final = "Take the acknowledgement out of infra/checks.py or infra/checks_nist.py, or give its reason a link."


def check_nag(assembly: Callable[[str], Path]) -> Outcome:
    """Read what both packs found in every environment."""
    records = {name: json.loads((assembly(name) / "cdk-nag.json").read_text("utf-8")) for name in ENVIRONMENTS}
    found = sum(len(pack["found"]) for record in records.values() for pack in record.values())
    problems = [line for name, record in records.items() for line in faults(name, record)]
    return Outcome(f"{', '.join(PACKS)}: {found} findings, each acknowledged", tuple(problems), REMEDY)


def faults(environment: str, record: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with one environment's record."""
    for pack in PACKS:
        if not record.get(pack, {}).get("found"):
            # This platform has wildcards and functions without a network: a pack that sees neither did not look.
            yield f"{environment}: {pack} found nothing at all, so it did not run"
            continue
        found, acknowledged = record[pack]["found"], record[pack]["acknowledged"]
        yield from (f"{environment}: nothing needs the acknowledgement of {id_}" for id_ in acknowledged.keys() - found)
        yield from (f"{environment}: {id_} is not acknowledged" for id_ in found.keys() - acknowledged.keys())
        for id_, reason in acknowledged.items():
            if "https://" not in reason:
                yield f"{environment}: {id_} is acknowledged without a link: {reason}"
