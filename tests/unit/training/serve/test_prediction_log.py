"""Where SageMaker captures nothing, the server logs what it answered: whole, in lines of bounded size, only if asked."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from passerelle.contracts.prediction import LOG_VARIABLE, LOGGED
from passerelle.domain.predictions import BrokenExchangeError, Recorder, read_logged
from passerelle.domain.predictions.cells import Value
from passerelle.errors import SettingsError
from tests.serving import GOOD_ROW, NAMES, make_bundle, rows_of
from tests.unit.domain.prediction_projects import flights_like
from training.bundle import Bundle
from training.serve import request_log
from training.serve.app import Application
from training.serve.prediction_log import MAX_LINE_BYTES, MAX_ROW_BYTES
from training.serve.scorer import Scorer
from training.serve.settings import ServeSettings, read_settings

ROWS = 300


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("logged") / "model"
    return make_bundle("binary", folder, candidate="logistic", threshold=0.4, rows=200)


def _lines(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: Any,
    logged: tuple[str, ...] | None = (),
    kind: str = "application/json",
) -> tuple[dict[str, Any], list[str]]:
    """Ask a server; returns its answer and the lines of its log."""
    log = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    monkeypatch.setattr(request_log, "STDOUT", log)
    server = Application(Scorer(bundle), ServeSettings(logged_columns=logged))
    text = body if isinstance(body, str) else json.dumps(body)
    answer = server.answer("POST", "/invocations", text.encode(), kind, "", "id-7", None)
    os.close(log)
    return json.loads(answer.body), (tmp_path / "log").read_text().splitlines()


def _records(lines: list[str]) -> list[dict[str, Value]]:
    recorder = Recorder(flights_like(), model="flights", find_model=lambda exchange, run_id: None)
    return [record for line in lines for record in recorder.records(read_logged(line), "champion")]


def test_a_batch_is_logged_whole_in_lines_of_bounded_size_that_become_its_records(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSERELLE_MODEL_VERSION", "5")
    table = rows_of(ROWS)
    answer, lines = _lines(bundle, tmp_path, monkeypatch, {"inputs": table})
    assert len(lines) > 1
    assert max(len(line) + 1 for line in lines) <= MAX_LINE_BYTES
    assert {json.loads(line)["event"] for line in lines} == {LOGGED}
    records = _records(lines)
    assert [record["request_row"] for record in records] == list(range(ROWS))
    assert [record["score"] for record in records] == [row[1] for row in answer["probabilities"]]
    assert [record["decision"] for record in records] == [str(value).lower() for value in answer["decisions"]]
    for name in ("hour", "wind", "holiday", "carrier", "tailnum"):
        assert [record[f"input_{name}"] for record in records] == table[name], name
    assert {(record["inference_id"], record["version"]) for record in records} == {("id-7", "5")}
    assert all(float(str(record["latency_ms"])) > 0 for record in records)


def test_columns_that_the_model_does_not_use_are_logged_only_where_the_deployment_names_them(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"dataframe_records": [{**GOOD_ROW, "passenger": "p-1", "secret": "s-1"}]}
    answer, lines = _lines(bundle, tmp_path, monkeypatch, body, ("passenger",))
    assert _records(lines)[0]["input_passenger"] == "p-1"
    assert "s-1" not in "".join(lines)
    plain, lines = _lines(bundle, tmp_path, monkeypatch, body)
    assert "p-1" not in "".join(lines)
    # What is logged changes nothing in what callers hear.
    assert answer == plain
    assert "passenger, secret" in str(answer["warnings"])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            "application/json",
            {"dataframe_split": {"columns": [*GOOD_ROW, "passenger"], "data": [[*GOOD_ROW.values(), "p-1"]]}},
        ),
        ("application/json", {"inputs": {name: [value] for name, value in {**GOOD_ROW, "passenger": "p-1"}.items()}}),
        ("application/jsonlines", {**GOOD_ROW, "passenger": "p-1"}),
        ("text/csv", [[*GOOD_ROW, "passenger"], [*GOOD_ROW.values(), "p-1"]]),
    ],
)
def test_such_a_column_is_logged_in_whatever_form_it_was_sent(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, body: Any
) -> None:
    text = "\n".join(",".join(map(str, row)) for row in body) if kind == "text/csv" else json.dumps(body)
    _, lines = _lines(bundle, tmp_path, monkeypatch, text, ("passenger",), kind)
    (record,) = _records(lines)
    assert (record["input_passenger"], record["input_tailnum"]) == ("p-1", GOOD_ROW["tailnum"])


@pytest.mark.parametrize("value", ["100000000000000000000000", '"\\ud800"', "[" * 300 + "]" * 300, '{"a": 1}', "1e999"])
def test_what_an_unchecked_column_holds_never_costs_the_caller_its_answer(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    row = json.dumps(GOOD_ROW)[:-1] + f', "passenger": {value}}}'
    body = f'{{"dataframe_records": [{row}, {json.dumps(GOOD_ROW)}]}}'
    plain, _ = _lines(bundle, tmp_path, monkeypatch, body, None)
    answer, lines = _lines(bundle, tmp_path, monkeypatch, body, ("passenger",))
    assert answer.get("predictions") == plain.get("predictions")
    if "predictions" in answer:
        assert [record["input_tailnum"] for record in _records(lines)] == [GOOD_ROW["tailnum"]] * 2
    else:
        assert not any(LOGGED in line for line in lines)


def test_without_being_asked_the_server_logs_no_value(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, lines = _lines(bundle, tmp_path, monkeypatch, {"dataframe_records": [GOOD_ROW]}, None)
    assert lines == []


def test_a_row_that_no_line_holds_is_told_without_its_values(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "x" * (MAX_ROW_BYTES + 1)
    body = {"dataframe_records": [GOOD_ROW, {**GOOD_ROW, "tailnum": long}, GOOD_ROW]}
    _, lines = _lines(bundle, tmp_path, monkeypatch, body)
    assert {json.loads(line)["event"] for line in lines} == {LOGGED}
    assert [record["request_row"] for record in _records([lines[0], lines[2]])] == [0, 2]
    with pytest.raises(BrokenExchangeError, match=r"a row of \d+ bytes"):
        _records([lines[1]])
    assert "xxx" not in lines[1]


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"rows": []}'])
def test_a_line_that_is_no_prediction_is_told_as_broken(line: str) -> None:
    with pytest.raises(BrokenExchangeError):
        read_logged(line)


def test_the_variable_is_a_list_of_columns_and_its_absence_means_no_log() -> None:
    assert read_settings({}).logged_columns is None
    assert read_settings({LOG_VARIABLE: "[]"}).logged_columns == ()
    assert read_settings({LOG_VARIABLE: json.dumps(NAMES[:2])}).logged_columns == tuple(NAMES[:2])
    with pytest.raises(SettingsError, match="JSON list of column names"):
        read_settings({LOG_VARIABLE: "yes"})
