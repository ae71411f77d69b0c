"""cdk-nag's packs as plugins of the CDK, with a record of what they found and why each finding is acknowledged.

The packs can acknowledge by themselves, but then say nothing of what they looked at: a pack that never ran and an
acknowledgement that nothing needs any longer would look just like a clean platform.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import jsii
from aws_cdk import (
    IPolicyValidationContext,
    IPolicyValidationPlugin,
    PolicyValidationPluginReport,
    PolicyViolation,
)
from cdk_nag import NagPack

#: In the cloud assembly, beside the CDK's own validation-report.json, which names violations only.
RECORD: Final = "cdk-nag.json"


@jsii.implements(IPolicyValidationPlugin)
class RecordedPack:
    """One pack of rules; a finding without a reason in `reasons` (by its id) fails the synthesis."""

    def __init__(self, name: str, pack: NagPack, reasons: Mapping[str, str], output: Path) -> None:
        self._name = name
        self._pack = pack
        self._reasons = {id_: reason for id_, reason in reasons.items() if id_.startswith(f"{name}-")}
        self._output = output

    @property
    def name(self) -> str:
        """The pack's name, as the CDK's report prints it."""
        return self._name

    @property
    def version(self) -> str | None:
        """The pack's version, for the CDK's report."""
        return self._pack.version

    @property
    def rule_ids(self) -> list[str] | None:
        """The pack's rules, for the CDK's report."""
        return self._pack.rule_ids

    def validate(self, context: IPolicyValidationContext) -> PolicyValidationPluginReport:
        """Find, write the record, and report what nobody acknowledged."""
        found = list(self._pack.validate_scope(context.app_construct).violations)
        self._write(
            {item.rule_name: [place.construct_path or "?" for place in item.violating_resources] for item in found}
        )
        open_ = [_with_remedy(item) for item in found if item.rule_name not in self._reasons]
        return PolicyValidationPluginReport(success=not open_, violations=open_)

    def _write(self, findings: Mapping[str, list[str]]) -> None:
        path = self._output / RECORD
        record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        record[self._name] = {
            "found": {rule: sorted(places) for rule, places in sorted(findings.items())},
            "acknowledged": dict(sorted(self._reasons.items())),
        }
        self._output.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _with_remedy(item: PolicyViolation) -> PolicyViolation:
    return PolicyViolation(
        rule_name=item.rule_name,
        description=item.description,
        severity=item.severity,
        violating_resources=item.violating_resources,
        fix="Change the resource, or acknowledge the rule with a reason and a link in infra/checks.py.",
    )
