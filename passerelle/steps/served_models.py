"""What an endpoint's answers leave out, found again: which model it was, its inputs in order, its threshold."""

from __future__ import annotations

from typing import Any

from passerelle.aws.clients import client, translated
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.bundle import METADATA_FILE, SIGNATURE_FILE, BundleMetadata, BundleSignature
from passerelle.contracts.variants import VARIANT
from passerelle.domain.predictions import Exchange, ServedModel
from passerelle.domain.predictions.exchange import read_moment
from passerelle.errors import BundleError, NotFoundError
from passerelle.settings import RecordPredictionsSettings
from passerelle.steps.archives import read_members
from passerelle.steps.artefacts import BUNDLE, training_key


class ServedModels:
    """The models of one project behind one variant of its endpoint; each is looked for once."""

    def __init__(self, project: str, variant: str, settings: RecordPredictionsSettings) -> None:
        self._project, self._variant = project, variant
        self._table = RunsTable(client("dynamodb"), settings.runs_table)
        self._models = settings.zones["models"]
        self._champion: dict[str, Any] | None = None
        self._known: dict[str, ServedModel | None] = {}

    def find(self, exchange: Exchange, run_id: str | None) -> ServedModel | None:
        """Return the model of a run; without one the champion, if it was that already when the request came.

        None when it is not known which it was. An update shifts traffic before the champion is another one, so answers
        that do not name their model have none for those minutes.
        """
        if run_id is None:
            run_id = self._champion_at(exchange)
        if run_id is None:
            return None
        if run_id not in self._known:
            self._known[run_id] = self._read(run_id)
        return self._known[run_id]

    def _champion_at(self, exchange: Exchange) -> str | None:
        if self._variant != VARIANT:
            return None
        if self._champion is None:
            with translated(f"champion of {self._project}"):
                self._champion = self._table.item(self._project, "CHAMPION") or {}
        since = self._champion.get("promoted_at")
        return str(self._champion["run_id"]) if since and read_moment(since) <= exchange.moment else None

    def _read(self, run_id: str) -> ServedModel | None:
        with translated(f"run {run_id} of {self._project}"):
            record = self._table.get(self._project, run_id)
        jobs = [stage.job_name for stage in record.stages if stage.stage == "train"] if record else []
        if record is None or not jobs or not jobs[-1]:
            return None
        key = training_key(self._project, jobs[-1], BUNDLE)
        try:
            found = read_members(Objects(client("s3")), self._models, key, (SIGNATURE_FILE, METADATA_FILE))
            signature = BundleSignature.from_json(found[SIGNATURE_FILE])
            metadata = BundleMetadata.from_json(found[METADATA_FILE])
        except (NotFoundError, BundleError, KeyError):
            return None
        names = tuple(column.name for column in signature.inputs)
        return ServedModel(version=record.model_version, inputs=names, threshold=metadata.threshold)
