"""`passerelle explain` asks with the option of the endpoint, and prints what adds up to the answer."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from cli.commands.explain import explain, show_explanations

ANSWER: dict[str, Any] = {
    "predictions": [1],
    "explanations": [
        {
            "output": "1",
            "base": -1.0,
            "total": 0.25,
            "contributions": {"hour": 1.5, "carrier": -0.3, "origin": 0.05, "dest": 0.0},
        }
    ],
    "explained_by": {"method": "trees", "space": "log-odds"},
    "model": {"run_id": "r1"},
}


def printed(top: int) -> str:
    text = io.StringIO()
    show_explanations(SimpleNamespace(console=Console(file=text, width=120)), ANSWER, top)  # type: ignore[arg-type]
    return text.getvalue()


def test_columns_are_listed_by_how_much_they_added() -> None:
    lines = [line.split() for line in printed(top=10).splitlines()]
    assert [words[0] for words in lines[2:8]] == ["on", "hour", "carrier", "origin", "dest", "this"]
    assert "+1.5000" in lines[3]
    assert "+0.2500" in lines[7]


def test_what_is_not_shown_is_summed_up() -> None:
    assert ["2", "others", "+0.0500"] in [line.split() for line in printed(top=2).splitlines()]


def test_the_endpoint_is_asked_to_explain(capsys: pytest.CaptureFixture[str]) -> None:
    asked: dict[str, Any] = {}

    def predict(project: str, body: bytes, **options: Any) -> bytes:
        asked.update(options, project=project, body=body)
        return b'{"predictions": []}'

    session = SimpleNamespace(platform=SimpleNamespace(predict=predict), as_json=True, print_json=print)
    explain.main(["flights", "--row", '{"hour": 17}'], obj=session, standalone_mode=False)
    assert asked["explain"] is True
    assert asked["body"] == b'{"dataframe_records": [{"hour": 17}]}'
    assert capsys.readouterr().out == "{'predictions': []}\n"
