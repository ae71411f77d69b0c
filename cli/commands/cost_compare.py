"""`passerelle cost compare`: the same work in the cloud and on machines of one's own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.session import Session
from passerelle.errors import InputError

if TYPE_CHECKING:
    from passerelle.domain.cost.ownership.comparison import Comparison

_FORMATS = (".html", ".svg", ".png")


@click.command()
@click.argument("workload", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path),
              help="Write a page (.html), or its chart alone (.svg, .png); none needs the network.")  # fmt: skip
@click.option("--days", type=click.IntRange(1), help="How old the cloud's price may be; default: 180.")
@click.option("--accept-old-prices", is_flag=True, help="Compare with a price that is older, or has no date.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def compare(
    session: Session,
    workload: Path,
    output: Path | None,
    days: int | None,
    accept_old_prices: bool,
    as_json: bool,
) -> None:
    """Compare renting with owning for the WORKLOAD of a YAML file: sums, break-even, and what they hang on.

    Nothing is asked of AWS. docs/on-premise/gpu.yaml and cpu.yaml are examples; docs/on-premise.md says what each
    field means, and where the figures come from that a file leaves out.
    """
    from passerelle.domain.cost.ownership.comparison import compare as compared
    from passerelle.domain.cost.ownership.document import to_document
    from passerelle.domain.cost.ownership.workload import load_workload
    from passerelle.domain.cost.prices import STALE_DAYS

    session = session.told(None, as_json)
    if output and output.suffix not in _FORMATS:
        raise InputError(f"--output {output}: write a file that ends in {', '.join(_FORMATS)}.")
    found = compared(
        load_workload(_content(workload), source=str(workload)),
        today=datetime.now(UTC).date(),
        oldest_days=days or STALE_DAYS,
        accept_old=accept_old_prices,
    )
    if output:
        _write(found, output)
    if session.as_json:
        session.print_json(to_document(found))
    else:
        from cli.show_comparison import show_comparison

        show_comparison(session.console, found)
        if output:
            session.console.print(f"Written: {output}", soft_wrap=True)


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {error}. docs/on-premise/gpu.yaml and cpu.yaml are examples of a workload file."
        ) from error


def _write(found: Comparison, output: Path) -> None:
    from passerelle.domain.cost.ownership.chart import tornado_svg
    from passerelle.domain.cost.ownership.page import comparison_page

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.suffix == ".png":
            _draw(found, output)
        else:
            text = tornado_svg(found) if output.suffix == ".svg" else comparison_page(found)
            output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error}. Choose another file.") from error


def _draw(found: Comparison, output: Path) -> None:
    from passerelle.domain.cost.ownership.picture import draw_tornado

    draw_tornado(found, output)
