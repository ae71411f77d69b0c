"""What the real server is asked and answers becomes the same records, in whatever form it was asked."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from laptop.sagemaker.hosting.capture import Exchange as LocalExchange
from laptop.sagemaker.hosting.capture import _record as local_line
from passerelle.contracts.bundle import TaskType
from passerelle.domain.predictions import Exchange, Recorder, RefusedExchangeError, ServedModel, read_captured
from passerelle.domain.predictions.cells import read_cell
from tests.serving import GOOD_VALUES, INPUTS, NAMES, make_bundle, rows_of
from tests.unit.domain.prediction_projects import flights_like
from training.serve.app import Application
from training.serve.scorer import Scorer
from training.serve.settings import ServeSettings

ROWS = 20
TABLE = rows_of(ROWS)
VALUES = [list(row) for row in zip(*TABLE.values(), strict=True)]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in VALUES]
LINES = "\n".join(json.dumps(row) for row in RECORDS)
CSV = "\n".join(",".join("" if cell is None else str(cell) for cell in row) for row in VALUES)
FORMS: dict[str, tuple[str, str]] = {
    "records": ("application/json", json.dumps({"dataframe_records": RECORDS})),
    "split": ("application/json", json.dumps({"dataframe_split": {"columns": NAMES, "data": VALUES}})),
    "instances": ("application/json", json.dumps({"instances": VALUES})),
    "inputs": ("application/json; charset=utf-8", json.dumps({"inputs": TABLE})),
    "lines": ("application/jsonlines", LINES),
    "lines of lists": ("application/x-ndjson", "\n".join(map(json.dumps, VALUES))),
    "csv": ("text/csv", CSV),
    "csv with a header": ("text/csv", "\ufeff" + ",".join(NAMES) + "\n" + CSV.replace("\n", "\r\n")),
}
ACCEPTED = ("application/json", "application/jsonlines", "text/csv")
SERVED = ServedModel(version="3", inputs=tuple(NAMES), threshold=0.4)
CAPTURE = {
    "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
    "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
}


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that asks a model of a task."""
    known: dict[str, Application] = {}

    def ask(task: TaskType, kind: str, body: str, accept: str) -> Exchange:
        if task not in known:
            folder = tmp_path_factory.mktemp(task) / "model"
            candidate = "linear" if task == "regression" else "logistic"
            threshold = 0.4 if task == "binary" else None
            bundle = make_bundle(task, folder, candidate=candidate, threshold=threshold, rows=200)
            known[task] = Application(Scorer(bundle), ServeSettings())
        answer = known[task].answer("POST", "/invocations", body.encode(), kind, accept, "r", None)
        told = dict(answer.headers)["content-type"]
        moment = datetime(2026, 11, 21, 8, 30)
        local = LocalExchange("e", "champion", "id-1", kind, body.encode(), told, answer.body, moment)
        return read_captured(json.dumps(local_line(CAPTURE, local)).encode())

    return ask


def _recorder(task: TaskType) -> Recorder:
    return Recorder(flights_like(task), model="flights", find_model=lambda exchange, run_id: SERVED)


@pytest.mark.parametrize("accept", ACCEPTED)
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_form_of_a_request_and_of_its_answer_gives_the_same_records(
    answering: Any, task: TaskType, accept: str
) -> None:
    found = {
        name: _recorder(task).records(answering(task, kind, body, accept), "champion")
        for name, (kind, body) in FORMS.items()
    }
    first = found["records"]
    assert [record["request_row"] for record in first] == list(range(ROWS))
    for name, records in found.items():
        assert records == first, name
    typed = {column.name: [read_cell(value, column.type, ("",)) for value in TABLE[column.name]] for column in INPUTS}
    assert {name: [record[f"input_{name}"] for record in first] for name in NAMES} == typed
    assert {record["version"] for record in first} == {"3"}
    if task == "binary":
        assert [record["decision"] for record in first] == [
            str(float(str(record["score"])) >= 0.4).lower() for record in first
        ]
        assert {record["decision"] for record in first} == {"true", "false"}
    elif task == "multiclass":
        assert {record["decision"] for record in first} <= {"early", "late", "on time"}
        shares = np.array([record["probabilities"] for record in first], float)
        assert shares.sum(axis=1) == pytest.approx(1)
        assert [record["score"] for record in first] == shares.max(axis=1).tolist()
        classes = np.array(["early", "late", "on time"])
        assert [record["decision"] for record in first] == classes[shares.argmax(axis=1)].tolist()
    else:
        assert {record["decision"] for record in first} == {None}


def test_what_sagemaker_captures_as_base64_is_read_all_the_same(answering: Any) -> None:
    kind, body = FORMS["lines"]
    moment = datetime(2026, 11, 21, 8, 30)
    line = local_line(CAPTURE, LocalExchange("e", "v", None, kind, body.encode(), kind, b"{}", moment))
    assert line["captureData"]["endpointInput"]["encoding"] == "BASE64"
    assert read_captured(json.dumps(line).encode()).asked.body == body.encode()
    assert len(_recorder("binary").records(answering("binary", kind, body, kind), "champion")) == ROWS


def test_a_refused_request_is_no_prediction(answering: Any) -> None:
    exchange = answering("binary", "application/json", json.dumps({"instances": [GOOD_VALUES[:2]]}), "text/csv")
    with pytest.raises(RefusedExchangeError):
        _recorder("binary").records(exchange, "champion")
