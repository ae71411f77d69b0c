"""`passerelle advise` from the recorded fits: for people, for machines, and a reason where nothing was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.commands.advise import advise
from cli.session import Session
from passerelle.errors import InputError

FLIGHTS = Path(__file__).resolve().parents[3] / "projects" / "flights"


def run(*arguments: str, as_json: bool = False) -> str:
    result = CliRunner().invoke(advise, arguments, obj=Session(as_json=as_json), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_project_is_advised_by_its_own_candidates_columns_and_split() -> None:
    answer = json.loads(run("--rows", "336776", "--project", str(FLIGHTS), as_json=True))
    assert answer["question"]["rows"] == round(336_776 * 0.7)
    assert "baseline" in answer["question"]["candidates"]
    assert answer["offers"][0]["instance_type"].startswith("ml.")


def test_the_sentence_names_instance_price_and_what_it_rests_on() -> None:
    shown = run("--rows", "100000", "--columns", "20", "--region", "eu-west-3")
    assert "USD for" in shown
    assert "(derived)" in shown
    assert "Fit times measured on" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--rows", "500000000", "--columns", "5"), "Not measured: 350,000,000 training rows"),
        (("--rows", "100000"), "--columns"),
        (("--rows", "100000", "--project", "nowhere.yaml"), "there is no such file"),
    ],
)
def test_what_cannot_be_advised_is_an_input_error_with_the_reason(arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        run(*arguments)
