"""What a person asks the deploy state machine for: another champion, forwards or back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.promotions import PREFIX, Asked, Promotion
from passerelle.contracts.runs import FINAL_STATUSES, RunRecord
from passerelle.domain.succession import champion_before, succession
from passerelle.errors import InputError, NotFoundError
from passerelle.steps.serve_again import deployment_request

_RUNS = 1_000


@dataclass(frozen=True, kw_only=True)
class History:
    """A project's registered models, oldest first, and which of them were champions."""

    project: str
    champion: str | None
    records: tuple[RunRecord, ...]
    promotions: tuple[Promotion, ...]

    @property
    def line(self) -> tuple[str, ...]:
        """The versions that lead to the champion."""
        told = {version for item in self.promotions for version in (item.version, item.before)}
        earlier = [str(record.model_version) for record in self.records if record.endpoint_name is not None]
        line = succession(self.promotions, [version for version in earlier if version not in told])
        if self.champion is None or line[-1:] == (self.champion,):
            return line
        return (*(version for version in line if version != self.champion), self.champion)

    @property
    def served(self) -> frozenset[str]:
        """Every version that ever was champion."""
        return frozenset(str(record.model_version) for record in self.records if record.endpoint_name is not None)

    @property
    def at_work(self) -> tuple[str, ...]:
        """Runs that have not ended: each may deploy its model."""
        return tuple(record.run_id for record in self.records if record.status not in FINAL_STATUSES)

    def last_promotion(self, version: str) -> Promotion | None:
        """Return how a version last became champion, if that was written down."""
        return next((item for item in reversed(self.promotions) if item.version == version), None)


def read_history(table: RunsTable, project: str) -> History:
    """Return what was served in this environment, as the runs table has it."""
    records = tuple(reversed(table.newest(project, limit=_RUNS)))
    champion = table.item(project, "CHAMPION")
    version = str(champion["model_version"]) if champion else None
    return History(project=project, champion=version, records=records, promotions=read_promotions(table, project))


def read_promotions(table: RunsTable, project: str) -> tuple[Promotion, ...]:
    """Return each change of the champion, oldest first."""
    return tuple(Promotion.model_validate_json(item["promotion"]) for item in table.items(project, PREFIX))


def promotion_request(
    table: RunsTable, models_bucket: str, history: History, asked: Asked, *, version: str | None, run: str | None
) -> dict[str, Any]:
    """Return the deploy state machine's input that makes a version champion: named, that of a run, or the challenger.

    The challenger is the newest version that the gate passed and that was never served.

    Raises NotFoundError when there is no such version, InputError for the champion and for what the gate refused.
    """
    wanted = version or (_version_of(history, run) if run else _challenger(history))
    _need_other(history, wanted)
    return deployment_request(table, models_bucket, history.project, wanted) | {"asked": asked.model_dump()}


def rollback_request(
    table: RunsTable, models_bucket: str, history: History, asked: Asked, *, version: str | None
) -> dict[str, Any]:
    """Return the deploy state machine's input that brings an earlier champion back: named, or the one before.

    Raises NotFoundError when there is none, InputError for the champion and for what was never served.
    """
    wanted = version or champion_before(history.line)
    if wanted is None:
        raise NotFoundError(
            f"No model of {history.project} was served before version {history.champion or 'any'}, so there is none to "
            f"go back to. `passerelle rollback {history.project} --list` shows all versions."
        )
    _need_other(history, wanted)
    request = deployment_request(table, models_bucket, history.project, wanted)
    if wanted not in history.served:
        raise InputError(
            f"Version {wanted} of {history.project} was never served, so serving it is no way back. "
            f"`passerelle promote {history.project} --version {wanted}` serves it, with all that a new model undergoes."
        )
    return request | {"asked": asked.model_dump()}


def _version_of(history: History, run: str) -> str:
    matches = [record for record in history.records if run in record.run_id]
    if len(matches) != 1:
        problem = "is ambiguous" if matches else "does not exist"
        raise NotFoundError(f"Run {run!r} of {history.project} {problem}. `passerelle runs` lists them.")
    if matches[0].model_version is None:
        raise InputError(
            f"Run {matches[0].run_id} has no model: it is {matches[0].status}. "
            f"`passerelle runs show {matches[0].run_id}` says why."
        )
    return matches[0].model_version


def _challenger(history: History) -> str:
    accepted = [
        str(record.model_version)
        for record in history.records
        if record.model_version is not None and record.gate.get("status") == "passed"
    ]
    new = [version for version in accepted if version not in history.served]
    if new:
        return new[-1]
    raise NotFoundError(
        f"Every model of {history.project} that the gate passed ({', '.join(accepted) or 'none'}) was served before. "
        "Name the one that is to be served with --version."
    )


def _need_other(history: History, wanted: str) -> None:
    if wanted == history.champion:
        raise InputError(
            f"Version {wanted} of {history.project} is the champion already. Where its endpoint does not answer as it "
            f"should, `passerelle redeploy {history.project}` serves it anew."
        )
