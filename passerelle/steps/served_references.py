"""Which model served at a moment, and what its training data looked like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from passerelle.aws.clients import client, translated
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.bundle import PROFILE_FILE
from passerelle.contracts.container import PERFORMANCE_FILE
from passerelle.contracts.promotions import PREFIX, Promotion
from passerelle.contracts.runs import RunRecord
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.drift.reference import Reference
from passerelle.errors import BundleError, InputError, NotFoundError
from passerelle.steps.archives import read_member
from passerelle.steps.artefacts import BUNDLE, result_key, training_key


@dataclass(frozen=True, kw_only=True)
class Served:
    """A model that served: its reference, or why there is none; and what its errors were like, where that is known."""

    version: str
    run_id: str
    reference: Reference | None
    performance: PerformanceReference | None = None
    why: str = ""


class ServedReferences:
    """The champions of one project by time; each bundle is read once."""

    def __init__(self, table: RunsTable, project: str, buckets: Mapping[str, str]) -> None:
        self._table, self._project = table, project
        self._models, self._curated = buckets["models"], buckets["curated"]
        with translated(f"champions of {project}"):
            items = table.items(project, PREFIX)
        self._promotions = [Promotion.model_validate_json(item["promotion"]) for item in items]
        self._known: dict[str, Served] = {}

    @property
    def since(self) -> datetime | None:
        """When the first model began to serve, None where none ever did."""
        return min((datetime.fromisoformat(one.at) for one in self._promotions), default=None)

    def before(self, moment: datetime) -> Served | None:
        """Return the model that served just before a moment, None where none did."""
        earlier = [one for one in self._promotions if datetime.fromisoformat(one.at) < moment]
        if not earlier:
            return None
        last = max(earlier, key=lambda one: datetime.fromisoformat(one.at))
        if last.run_id not in self._known:
            self._known[last.run_id] = self._read(last)
        return self._known[last.run_id]

    def _read(self, promotion: Promotion) -> Served:
        run_id, version = promotion.run_id, promotion.version
        try:
            with translated(f"run {run_id} of {self._project}"):
                record = self._table.need(self._project, run_id)
            reference = self._reference(record)
        except (NotFoundError, BundleError, InputError) as error:
            return Served(version=version, run_id=run_id, reference=None, why=str(error))
        return Served(version=version, run_id=run_id, reference=reference, performance=self._performance(record))

    def _performance(self, record: RunRecord) -> PerformanceReference | None:
        """Return what the model's errors were like; None where `evaluate` left nothing that this version reads."""
        key = result_key(self._project, record.run_id, record.attempt, f"evaluate/{PERFORMANCE_FILE}")
        try:
            return PerformanceReference.from_json(Objects(client("s3")).read(self._curated, key))
        except InputError:
            return None

    def _reference(self, record: RunRecord) -> Reference:
        run_id = record.run_id
        jobs = [stage.job_name for stage in record.stages if stage.stage == "train" and stage.job_name]
        if not jobs:
            raise NotFoundError(f"Run {run_id} names no training job, so its model's reference is not found.")
        key = training_key(self._project, jobs[-1], BUNDLE)
        text = read_member(Objects(client("s3")), self._models, key, PROFILE_FILE)
        if text is None:
            raise NotFoundError(
                f"The bundle of run {run_id} holds no {PROFILE_FILE}: it was trained before there were any. Train anew."
            )
        return Reference.from_json(text)
