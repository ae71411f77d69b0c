"""The job that counts a window of predictions that is too large for a function."""

from __future__ import annotations

from typing import Final

from passerelle.contracts.container import COUNT_INPUTS, COUNT_OUTPUTS
from passerelle.domain.monitoring.windows import Window
from passerelle.domain.project import Project
from passerelle.domain.requests.jobs import JobPlace, Request, RunRef, processing_job

#: Digits of what is counted that stand in a job's name.
_DIGITS: Final = 6


def count_job(
    place: JobPlace,
    project: Project,
    window: Window,
    identity: str,
    *,
    project_uri: str,
    records: str,
    folder: str,
    labels: str = "",
) -> Request:
    """Return CreateProcessingJob for `count`.

    Parameters
    ----------
    identity : hex digits of what is counted, and for whom: what comes late is counted by a job of its own.
    records : the manifest of the window's records.
    folder : s3:// URI below which the question lies, and the answer will.
    labels : s3:// URI of what is known of the predictions' labels, "" where nothing is.
    """
    # In the place of a run's id.
    named = f"w{window.start:%Y%m%d%H}-{identity[:_DIGITS]}"
    run = RunRef(project=project.name, run_id=named, attempt=1, project_uri=project_uri)
    inputs = {"question": f"{folder}/question", "records": records, **({"labels": labels} if labels else {})}
    outputs = {"result": f"{folder}/result"}
    request = processing_job(place, run, project, "count", inputs, COUNT_INPUTS, outputs, COUNT_OUTPUTS)
    for item in request["ProcessingInputs"]:
        if item["InputName"] == "records":
            item["S3Input"]["S3DataType"] = "ManifestFile"
    return request
