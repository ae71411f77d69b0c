"""Keep what the shadow showed of a challenger, and say what follows: it takes over, or it is withdrawn."""

from __future__ import annotations

from typing import Any

from passerelle.aws.clients import client, translated
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable, utc_now
from passerelle.contracts import zones
from passerelle.contracts.experiment import Verdict
from passerelle.contracts.runs import RunRecord
from passerelle.settings import RecordShadowSettings
from passerelle.steps.job_results import failure_reason, read_shadow_evidence
from passerelle.steps.run_stages import end_stage


def record_shadow(request: dict[str, Any], settings: RecordShadowSettings) -> dict[str, Any]:
    """Return the request with the next change of the endpoint, and the verdict in words.

    Where the job that judges has failed, the challenger is withdrawn and the execution fails: `judged` is false.
    """
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    if "unjudged" in request:
        cause = str(request["unjudged"].get("Cause", ""))
        words = f"it could not be judged: {failure_reason(cause, otherwise=cause)}"
        return _then(request, "withdraw", words, judged=False)
    base = {"project": project, "run_id": run_id, "attempt": attempt}
    evidence = read_shadow_evidence(settings.zones["curated"], base)
    key = f"{zones.report_prefix(project, run_id)}/shadow.json"
    Objects(client("s3")).write(settings.zones["reports"], key, evidence.model_dump_json(indent=2).encode())
    shadow = {
        "verdict": evidence.verdict,
        "reasons": list(evidence.reasons),
        "evidence": zones.s3_uri(settings.zones["reports"], key),
        "judged_at": utc_now(),
    }

    def update(record: RunRecord) -> RunRecord:
        ended = record if evidence.verdict == "promote" else end_stage(record, "deploy")
        return ended.model_copy(update={"shadow": shadow})

    with translated("recording a shadow's verdict"):
        RunsTable(client("dynamodb"), settings.runs_table).change(project, run_id, update, attempt=attempt)
    words = f"{_WORDS[evidence.verdict]}: {'; '.join(evidence.reasons)}"
    promoted = evidence.verdict == "promote"
    return _then(request, "serve" if promoted else "withdraw", words, judged=True)


def _then(request: dict[str, Any], phase: str, words: str, *, judged: bool) -> dict[str, Any]:
    """Return the request with its next change; there is none where a challenger leaves that was only replayed."""
    stays = phase == "withdraw" and bool(request["shadow"].get("replay"))
    action = "none" if stays else "update"
    return request | {"change": request[phase], "action": action, "verdict": words, "judged": judged}


_WORDS: dict[Verdict, str] = {
    "promote": "it takes over",
    "keep": "it has not shown that it may take over",
    "reject": "it has shown that it must not take over",
}
