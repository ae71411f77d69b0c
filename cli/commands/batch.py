"""`passerelle batch`: score a prefix of files with the model that is served, and only what is not scored yet."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from cli.session import Session
from passerelle.errors import InputError, TransientError

if TYPE_CHECKING:
    from passerelle.aws.batch_jobs import BatchJobs, BatchPlace
    from passerelle.domain.batch import WrittenPlan

_POLL_SECONDS: Final = {True: 0.5, False: 10.0}
_ENDED: Final = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True)
class _Begun:
    """A job at work, begun now or found running; none where nothing is left. `skipped` inputs were done before."""

    job: str | None
    model: str
    inputs: int
    skipped: int


@click.command()
@click.argument("project")
@click.argument("prefix")
@click.option("--output", help="Where the outputs go; beside the inputs if not given.")
@click.option("--join", "joined", is_flag=True, help="Write each row beside its answer (JSON lines only).")
@click.option("--instance", default="ml.m5.large", show_default=True, help="The instance type of the job.")
@click.option("--no-follow", is_flag=True, help="Return when the job is started.")
@click.pass_obj
def batch(
    session: Session, project: str, prefix: str, output: str | None, joined: bool, instance: str, no_follow: bool
) -> None:
    """Score every file below PREFIX with the model that PROJECT serves, in a SageMaker batch transform job.

    PREFIX is s3://… or a folder below the project's batch folder in the predictions zone. The answers to a.csv are in
    a.csv.out. Called again, it scores only what is new or changed, what failed, and all when another model is served; a
    job that is still at work is followed.
    """
    from passerelle.aws.batch_jobs import BatchJobs

    session.platform.need_project(project)
    jobs = BatchJobs(session.platform, project)
    place = jobs.place(prefix, output)
    plans = jobs.plans(place)
    begun = _running(jobs, plans) or _begin(session, jobs, place, plans, joined, instance)
    found = {} if no_follow or begun.job is None else _followed(session, jobs, place, begun.job, begun.inputs)
    if session.as_json:
        session.print_json(_document(session, project, place, begun, found))
    elif begun.job is None:
        session.console.print(f"[green]✓[/] Nothing to do: all {begun.skipped:,} inputs are scored by {begun.model}.")
    elif no_follow:
        session.console.print(f"Transform job {begun.job} started: {begun.inputs:,} inputs, {begun.skipped:,} skipped.")
    if found and begun.job is not None:
        _conclude(
            session, place, begun, found, [] if found["TransformJobStatus"] == "Completed" else jobs.words(begun.job)
        )


def _running(jobs: BatchJobs, plans: list[WrittenPlan]) -> _Begun | None:
    """Return the last job there if it is at work: two that write the same keys must not be."""
    found = jobs.describe(plans[-1].plan.job) if plans else None
    if found is None or found["TransformJobStatus"] in _ENDED:
        return None
    plan = plans[-1].plan
    return _Begun(plan.job, plan.model, len(plan.inputs), 0)


def _begin(
    session: Session, jobs: BatchJobs, place: BatchPlace, plans: list[WrittenPlan], joined: bool, instance: str
) -> _Begun:
    """Start a job for what is left, if anything is."""
    from passerelle.contracts.batch import BatchPlan
    from passerelle.contracts.naming import batch_job_name
    from passerelle.domain.batch import form_of, inputs_of, work_of
    from passerelle.domain.requests.batch import BatchJob, batch_tags

    inputs = inputs_of(jobs.listed(place.inputs))
    form = form_of(inputs, place.input_uri)
    if joined and not form.by_line:
        raise InputError(
            "--join needs JSON lines (.jsonl): SageMaker joins line by line, and CSV files are sent whole."
        )
    outputs = {found.name: found for found in jobs.listed(place.outputs)}
    model = jobs.model()
    work = work_of(inputs, outputs, plans, model=model, joined=joined)
    if not work.left:
        return _Begun(None, model, 0, len(work.done))
    told = " ".join((place.output_uri, model, *(f"{each.name} {each.etag}" for each in work.left)))
    name = batch_job_name(jobs.project, datetime.now(UTC), told)
    plan = BatchPlan(
        job=name, project=jobs.project, model=model, joined=joined, inputs=tuple(each.as_input for each in work.left)
    )
    request = BatchJob(
        name=name,
        model_name=model,
        manifest_uri=f"s3://{place.bucket}/{place.plan_key(name, '.manifest')}",
        output_uri=place.output_uri.rstrip("/"),
        form=form,
        inputs=work.left,
        joined=joined,
        instance_type=instance,
        kms_key_arn=session.platform.resource("data-key"),
        tags=batch_tags(jobs.tags()),
    )
    jobs.start(place, plan, request)
    return _Begun(name, model, len(work.left), len(work.done))


def _followed(session: Session, jobs: BatchJobs, place: BatchPlace, job: str, inputs: int) -> dict[str, Any]:
    """Show how many outputs there are until the job has ended; returns its description."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from passerelle.domain.batch import OUTPUT

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=session.console, transient=True) as bar:
        task = bar.add_task(f"Scoring in {job}", total=inputs)
        while True:
            found = jobs.describe(job)
            if found is None or found["TransformJobStatus"] in _ENDED:
                return found or {"TransformJobStatus": "Stopped"}
            begun = found["CreationTime"].replace(microsecond=0)  # S3 dates objects by the second
            new = [each for each in jobs.listed(place.outputs) if each.name.endswith(OUTPUT) and each.modified >= begun]
            bar.update(task, completed=len(new))
            _pause(session)


def _pause(session: Session) -> None:
    time.sleep(_POLL_SECONDS[session.on_laptop])


def _document(
    session: Session, project: str, place: BatchPlace, begun: _Begun, found: dict[str, Any]
) -> dict[str, Any]:
    return {
        "project": project,
        "job": begun.job,
        "status": found.get("TransformJobStatus", "InProgress" if begun.job else "Completed"),
        "model": begun.model,
        "inputs": begun.inputs,
        "skipped": begun.skipped,
        "output": place.output_uri,
        **_cost(session, found),
    }


def _cost(session: Session, found: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds on the instance and their list price; None where it is unknown."""
    from passerelle.aws.batch_jobs import seconds_of
    from passerelle.domain.cost.prices import job_cost

    if not found.get("TransformResources"):
        return {"seconds": 0.0, "usd": None}
    seconds, kind = seconds_of(found), found["TransformResources"]["InstanceType"]
    region = str(session.platform.client("sagemaker").meta.region_name)
    return {"seconds": seconds, "usd": job_cost("SageMaker BatchTransform", kind, region, seconds)}


def _conclude(session: Session, place: BatchPlace, begun: _Begun, found: dict[str, Any], words: list[str]) -> None:
    """Say how it ended.

    Raises InputError for inputs that the model refused, TransientError for what another call may cure.
    """
    status, again = found["TransformJobStatus"], "Call the same command again: it does only the rest."
    if status == "Completed":
        cost = _cost(session, found)
        price = "of unknown price" if cost["usd"] is None else f"about USD {cost['usd']:.4f} on AWS"
        session.console.print(
            f"[green]✓[/] Scored {begun.inputs:,} files into {place.output_uri} ({begun.skipped:,} were done before): "
            f"{cost['seconds']:.0f} s of the instance, {price}.",
            soft_wrap=True,
        )
        return
    if status == "Stopped":
        raise TransientError(f"Transform job {begun.job} was stopped. {again}")
    reason = str(found.get("FailureReason", ""))
    said = "\n".join([f"Transform job {begun.job} failed: {reason}", *words])
    if reason.startswith("ClientError"):
        raise InputError(f"{said}\nMend these files. {again}")
    raise TransientError(f"{said}\n{again}")
