"""The job of a back-test, which the command line starts, not the pipeline."""

from __future__ import annotations

from passerelle.contracts import zones
from passerelle.contracts.container import BACKTEST_INPUTS, BACKTEST_OUTPUTS
from passerelle.domain.project import Project
from passerelle.domain.requests.jobs import JobPlace, Request, RunRef, processing_job, training_output


def backtest_job(
    place: JobPlace, run: RunRef, project: Project, *, name: str, training_job: str, dataset_id: str
) -> Request:
    """Return CreateProcessingJob for `backtest`.

    Parameters
    ----------
    run : the champion's. name : of the job; it may be asked for any number of times.
    training_job : trained the champion.
    """
    home = zones.s3_uri(place.zones["curated"], zones.backtest_prefix(run.project, name))
    trained = f"{training_output(place, run)}/{training_job}/output"
    inputs = {
        "project": run.project_uri,
        "question": f"{home}/question",
        "training": f"{trained}/output.tar.gz",
        "model": f"{trained}/model.tar.gz",
        "dataset": f"{zones.s3_uri(place.zones['curated'], zones.dataset_prefix(run.project, dataset_id))}/",
    }
    outputs = {"result": f"{home}/result"}
    request = processing_job(place, run, project, "backtest", inputs, BACKTEST_INPUTS, outputs, BACKTEST_OUTPUTS)
    return request | {"ProcessingJobName": name}
