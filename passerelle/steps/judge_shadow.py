"""Wait until a challenger has answered enough requests in the shadow, then ask for the job that compares both."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from passerelle.aws.captured import Capture
from passerelle.aws.clients import client, translated
from passerelle.aws.endpoint_metrics import Watched, count_of, latency_of
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import zones
from passerelle.contracts.container import QUESTION_FILE
from passerelle.contracts.experiment import ShadowQuestion, VariantSeen
from passerelle.domain.requests.components import VARIANT
from passerelle.domain.requests.jobs import JobPlace, RunRef, judge_job
from passerelle.domain.requests.shadow import SHADOW_VARIANT
from passerelle.settings import JudgeShadowSettings
from passerelle.steps.project_source import read_project

#: What captured objects are written later than their requests.
_LATE = timedelta(minutes=5)


def judge_shadow(request: dict[str, Any], settings: JudgeShadowSettings) -> dict[str, Any]:
    """Return the request with `judge_job`; without it, wait on as `shadow` says.

    Nothing but the number of requests prolongs the wait: whoever looked at what they show would find, sooner or later,
    what is hoped for.
    """
    shadow = request["shadow"]
    waited = int(shadow.get("waited_seconds", 0)) + int(shadow["wait_seconds"])
    config = shadow["config"]["EndpointConfigName"]
    since = datetime.now(UTC) - timedelta(seconds=waited)
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
    return request | {"judge_job": _job(request, settings, seen, waited, since)}


def _job(
    request: dict[str, Any], settings: JudgeShadowSettings, seen: dict[str, VariantSeen], waited: int, since: datetime
) -> dict[str, Any]:
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    deployed = read_project(settings.environment, project)
    run = RunRef(project=project, run_id=run_id, attempt=attempt, project_uri=deployed.uri)
    objects, curated = Objects(client("s3")), settings.zones["curated"]
    folder = f"{zones.result_prefix(project, run_id, attempt, 'judge')}"
    question = _question(request, settings, seen, waited)
    objects.write(curated, f"{folder}/question/{QUESTION_FILE}", question.model_dump_json(indent=2).encode())
    capture = Capture(bucket=settings.zones["predictions"], project=project, endpoint=request["endpoint_name"])
    manifests = {}
    for variant in (VARIANT, SHADOW_VARIANT):
        if keys := capture.keys(objects, variant, since - _LATE):
            key = f"{folder}/captured/{variant}.manifest"
            objects.write(curated, key, capture.manifest(keys))
            manifests[variant] = zones.s3_uri(curated, key)
    place = JobPlace(
        environment=settings.environment,
        zones=settings.zones,
        image_uri=settings.image_uri,
        role_arn=settings.judge_role_arn,
        kms_key_arn=settings.kms_key_arn,
        prepare_instance_type=settings.prepare_instance_type,
        vpc=settings.vpc,
    )
    suffix = hashlib.sha256(str(request["execution"]).encode()).hexdigest()[:6]
    return judge_job(place, run, deployed.project, captured=manifests, suffix=suffix)


def _question(
    request: dict[str, Any], settings: JudgeShadowSettings, seen: dict[str, VariantSeen], waited: int
) -> ShadowQuestion:
    table, project = RunsTable(client("dynamodb"), settings.runs_table), request["project"]
    with translated(f"champion of {project}"):
        champion = (table.item(project, "CHAMPION") or {}).get("run_id")
    runs = {VARIANT: champion, SHADOW_VARIANT: request["run_id"]}
    declared, limits = request["shadow"]["declared"], request["shadow"]["limits"]
    return ShadowQuestion(
        hours=waited / 3_600,
        declared_hours=float(declared["hours"]),
        declared_requests=int(declared["requests"]),
        hurried=waited < float(declared["hours"]) * 3_600,
        error_percent=limits["error_percent"],
        p99_latency_ms=limits["p99_latency_ms"],
        **{
            variant: one.model_copy(update={"threshold": _threshold(table, project, runs[variant])})
            for variant, one in seen.items()
        },
    )


def _threshold(table: RunsTable, project: str, run_id: str | None) -> float | None:
    if run_id is None:
        return None
    with translated(f"run {run_id}"):
        record = table.get(project, run_id)
    threshold = record.gate.get("threshold") if record else None
    return None if threshold is None else float(threshold)
