"""`passerelle shadow`: what a challenger showed beside the champion, judged anew with labels that have come."""

from __future__ import annotations

from pathlib import Path

import click

from cli.session import Session


@click.command()
@click.argument("project")
@click.option("--run", help="The run whose model was in the shadow; the newest such if not given.")
@click.option(
    "--outcomes",
    "files",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="A file of labels that became known, by inference_id or by the contract's entity; may be given again.",
)
@click.option("--env", "environment", help="The same as before the command.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def shadow(
    session: Session, project: str, run: str | None, files: tuple[Path, ...], environment: str | None, as_json: bool
) -> None:
    """Judge a challenger of PROJECT by labels: on requests that both models answered while it was in the shadow.

    The project's metric by McNemar, DeLong or the paired bootstrap, and the money of decisions. The verdict is kept
    beside that without labels; nothing is deployed.
    """
    from cli.recorded import reading
    from cli.show_experiment import show_evidence
    from passerelle.steps.read_shadow import keep_evidence, newest_shadow, read_shadow

    session = session.told(environment, as_json)
    session.platform.need_project(project)
    records = session.platform.runs(project, limit=200)
    record = session.platform.find_run(run) if run else newest_shadow(records, project)
    with reading(session, project) as (reader, declared, progress):
        evidence = read_shadow(reader, declared, record, files, progress)
        uri = keep_evidence(reader, record, evidence)
    if session.as_json:
        session.print_json({"run_id": record.run_id, **evidence.model_dump(mode="json"), "uri": uri})
    else:
        show_evidence(session.console, record, evidence, uri)
