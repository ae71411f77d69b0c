"""`passerelle reproduce`: train a run's model again, and see whether it predicts the same."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.failures import NotReproducedError
from cli.session import Session, common_options
from passerelle.errors import InputError

if TYPE_CHECKING:
    from passerelle.contracts.comparison import Comparison
    from passerelle.contracts.runs import RunRecord
    from passerelle.steps.reproduce import Difference, Laid


@click.command()
@click.argument("run")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep everything in this folder, which must be empty.")
@common_options
@click.pass_obj
def reproduce(session: Session, run: str, keep: Path | None, environment: str | None, as_json: bool) -> None:
    """Train the chosen model of RUN again, here, and compare its predictions on the test rows bit for bit.

    Data, project, parameters and seed are those of the run's record; code and libraries are those of this machine, and
    every difference from the run's is named first. Nothing is deployed. Exit code 7 when the predictions differ; where
    a GPU fitted a model, by more than 1 % of their scale.
    """
    session = session.told(environment, as_json)
    if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise InputError(f"{keep} is not an empty folder: name another.")
    with tempfile.TemporaryDirectory(prefix="passerelle-reproduce-") as work:
        _reproduce(session, session.platform.find_run(run), (keep or Path(work)).resolve())


def _reproduce(session: Session, record: RunRecord, folder: Path) -> None:
    from passerelle.aws.objects import Objects
    from passerelle.steps.reproduce import Source, differences, lay_out, need_libraries, train_again

    need_libraries()
    folder.mkdir(parents=True, exist_ok=True)
    platform = session.platform
    source = Source(
        Objects(platform.client("s3")), platform.resource("models-bucket"), platform.resource("curated-bucket")
    )
    with session.console.status("Fetching data, project and model"):
        laid = lay_out(source, record, folder)
    found = differences(laid)
    _announce(session, record, laid, found)
    with session.console.status(f"Training {laid.candidate.name} again"):
        result = train_again(laid)
    if session.as_json:
        session.print_json(_document(record, laid, found, result))
    _conclude(session, found, result)


def _document(record: RunRecord, laid: Laid, found: tuple[Difference, ...], result: Comparison) -> dict[str, object]:
    told = {"project": record.project, "run_id": record.run_id, "candidate": laid.candidate.name}
    verdict = {**result.model_dump(), "reproduced": result.reproduced}
    return {**told, **verdict, "differences": [item.model_dump() for item in found]}


def _announce(session: Session, record: RunRecord, laid: Laid, found: tuple[Difference, ...]) -> None:
    session.console.print(
        f"Run {record.run_id} of {record.project}: {laid.candidate.name} on dataset {record.dataset_id}, "
        f"seed {laid.metadata.seed}, {laid.metadata.machine.get('threads', 'an unknown number of')} threads."
    )
    if not found:
        session.console.print("Code, libraries and processor are those that trained it.")
    for item in found:
        session.console.print(f"[yellow]![/] {item.what}: {item.then} then, {item.here} here", soft_wrap=True)


def _conclude(session: Session, found: tuple[Difference, ...], result: Comparison) -> None:
    """Say whether it is the same model.

    Raises NotReproducedError, naming the likely reason, when it is not.
    """
    if result.equal:
        session.console.print(
            f"[green]✓[/] Reproduced: the {result.output} of all {result.rows:,} test rows are equal, bit for bit."
        )
        return
    if result.reproduced:
        session.console.print(
            f"[green]✓[/] Reproduced within tolerance: the {result.output} of {result.rows:,} test rows differ by at "
            f"most {result.largest:.3g}, and {result.tolerance:.3g} is allowed where a GPU fitted a model; "
            f"{result.decisions:,} rows are decided otherwise."
        )
        return
    names = ", ".join(item.what for item in found)
    reason = (
        f"Likely because of what differs: {names}. Check out the run's commit, install its lock, and try again."
        if found
        else "Code, libraries and processor are the run's, so this is unexpected: a candidate that is not "
        "deterministic (a model.py without a fixed seed, a GPU)."
    )
    raise NotReproducedError(
        f"The {result.output} differ in {result.different:,} of {result.rows:,} test rows, by at most "
        f"{result.largest:.3g}; {result.decisions:,} rows are decided otherwise. {reason}"
    )
