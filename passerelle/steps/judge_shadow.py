"""Ask for the job that compares challenger and champion, once the shadow has run long enough, or by a replay."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from passerelle.aws.captured import captured_prefixes, choose, recorded_prefixes
from passerelle.aws.clients import client, translated
from passerelle.aws.endpoint_metrics import Watched, count_of, latency_of
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import zones
from passerelle.contracts.container import QUESTION_FILE
from passerelle.contracts.experiment import ShadowQuestion, VariantSeen
from passerelle.contracts.variants import SHADOW_VARIANT, VARIANT
from passerelle.domain.requests.jobs import JobPlace, RunRef, judge_job
from passerelle.domain.requests.manifest import manifest
from passerelle.settings import JudgeShadowSettings
from passerelle.steps.project_source import read_project

#: Captured objects are named by a time after that of their requests.
_LATE = timedelta(minutes=5)


def judge_shadow(request: dict[str, Any], settings: JudgeShadowSettings) -> dict[str, Any]:
    """Return the request with `judge_job`; without it, wait on as `shadow` says.

    Nothing but the number of requests prolongs the wait: whoever looked at what they show would find, sooner or later,
    what is hoped for.
    """
    shadow, now = request["shadow"], datetime.now(UTC)
    if shadow.get("replay"):
        since = now - timedelta(hours=float(shadow["declared"]["hours"]))
        return request | {"judge_job": _Judging(request, settings, since).replay()}
    waited = int(shadow.get("waited_seconds", 0)) + int(shadow["wait_seconds"])
    since = now - timedelta(seconds=waited)
    config = shadow["config"]["EndpointConfigName"]
    watched = {
        variant: Watched(endpoint=request["endpoint_name"], variant=variant, config=config, since=since)
        for variant in (VARIANT, SHADOW_VARIANT)
    }
    counted = {variant: count_of(one) for variant, one in watched.items()}
    left = int(shadow["longest_seconds"]) - waited
    if counted[SHADOW_VARIANT].requests < int(shadow["declared"]["requests"]) and left > 0:
        longer = {"waited_seconds": waited, "wait_seconds": min(int(shadow["wait_seconds"]), left)}
        return request | {"shadow": shadow | longer}
    seen = {
        variant: counted[variant].model_copy(update={"latency": latency_of(one)}) for variant, one in watched.items()
    }
    return request | {"judge_job": _Judging(request, settings, since).shadow(seen, waited)}


def judge_place(settings: JudgeShadowSettings) -> JobPlace:
    """Return where the job runs, in a role of its own: it reads captured answers, which no other job may."""
    return JobPlace(
        environment=settings.environment,
        zones=settings.zones,
        image_uri=settings.image_uri,
        role_arn=settings.judge_role_arn,
        kms_key_arn=settings.kms_key_arn,
        prepare_instance_type=settings.prepare_instance_type,
        vpc=settings.vpc,
    )


class _Judging:
    """One job: its question and the lists of its inputs lie in the curated zone."""

    def __init__(self, request: dict[str, Any], settings: JudgeShadowSettings, since: datetime) -> None:
        self._request, self._settings, self._since = request, settings, since
        self._objects, self._curated = Objects(client("s3")), settings.zones["curated"]
        self._project, self._run_id = request["project"], request["run_id"]
        attempt = int(request["attempt"])
        self._folder = zones.result_prefix(self._project, self._run_id, attempt, "judge")
        self._deployed = read_project(settings.environment, self._project)
        self._run = RunRef(project=self._project, run_id=self._run_id, attempt=attempt, project_uri=self._deployed.uri)

    def shadow(self, seen: Mapping[str, VariantSeen], waited: int) -> dict[str, Any]:
        """Return the job that compares what was captured of both variants."""
        endpoint, since = self._request["endpoint_name"], self._since - _LATE
        inputs = {
            variant: self._listed(variant, captured_prefixes(self._project, endpoint, variant, since))
            for variant in (VARIANT, SHADOW_VARIANT)
        }
        return self._job(seen, waited / 3_600, inputs)

    def replay(self) -> dict[str, Any]:
        """Return the job that asks the challenger what was asked the champion."""
        hours = float(self._request["shadow"]["declared"]["hours"])
        nothing = {variant: VariantSeen(requests=0, errors=0) for variant in (VARIANT, SHADOW_VARIANT)}
        recorded = self._listed("recorded", recorded_prefixes(self._project, self._since))
        return self._job(
            nothing, hours, {"recorded": recorded}, replayed_since=self._since, model=self._request["model_data_url"]
        )

    def _listed(self, name: str, prefixes: list[str]) -> str:
        """Return the manifest of what lies below prefixes, "" where nothing does."""
        bucket = self._settings.zones["predictions"]
        keys = choose(self._objects, bucket, prefixes)
        if not keys:
            return ""
        key = f"{self._folder}/captured/{name}.manifest"
        self._objects.write(self._curated, key, manifest(zones.s3_uri(bucket, ""), keys))
        return zones.s3_uri(self._curated, key)

    def _job(
        self,
        seen: Mapping[str, VariantSeen],
        hours: float,
        listed: Mapping[str, str],
        *,
        replayed_since: datetime | None = None,
        model: str = "",
    ) -> dict[str, Any]:
        question = self._question(seen, hours, replayed_since)
        text = question.model_dump_json(indent=2).encode()
        self._objects.write(self._curated, f"{self._folder}/question/{QUESTION_FILE}", text)
        return judge_job(
            judge_place(self._settings),
            self._run,
            self._deployed.project,
            listed={name: uri for name, uri in listed.items() if uri},
            model=model,
            suffix=hashlib.sha256(str(self._request["execution"]).encode()).hexdigest()[:6],
        )

    def _question(
        self, seen: Mapping[str, VariantSeen], hours: float, replayed_since: datetime | None
    ) -> ShadowQuestion:
        table = RunsTable(client("dynamodb"), self._settings.runs_table)
        with translated(f"champion of {self._project}"):
            champion = (table.item(self._project, "CHAMPION") or {}).get("run_id")
        declared, limits = self._request["shadow"]["declared"], self._request["shadow"]["limits"]
        return ShadowQuestion(
            hours=hours,
            declared_hours=float(declared["hours"]),
            declared_requests=int(declared["requests"]),
            hurried=hours < float(declared["hours"]),
            error_percent=limits["error_percent"],
            p99_latency_ms=limits["p99_latency_ms"],
            champion=seen[VARIANT].model_copy(update={"threshold": self._threshold(table, champion)}),
            challenger=seen[SHADOW_VARIANT].model_copy(update={"threshold": self._threshold(table, self._run_id)}),
            replayed_since=replayed_since,
        )

    def _threshold(self, table: RunsTable, run_id: str | None) -> float | None:
        if run_id is None:
            return None
        with translated(f"run {run_id}"):
            record = table.get(self._project, run_id)
        threshold = record.gate.get("threshold") if record else None
        return None if threshold is None else float(threshold)
