"""Recorded requests are asked again of a challenger, by the code that would serve it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from passerelle.aws.parquet_file import write_parquet
from passerelle.contracts.bundle import TaskType
from passerelle.domain.predictions import Exchange, Recorder, ServedModel
from passerelle.domain.predictions.exchange import Side
from passerelle.errors import InputError
from tests.serving import NAMES, make_bundle, rows_of
from tests.unit.domain.prediction_projects import flights_like
from training.bundle import Bundle
from training.judge.replay import replay
from training.serve.app import Application
from training.serve.scorer import Scorer
from training.serve.settings import ServeSettings

NOW = datetime(2026, 11, 22, 2, tzinfo=UTC)
SINCE = NOW - timedelta(hours=24)
ROWS = 300


def record(bundle: Bundle, folder: Path, columns: dict[str, list[Any]], **changes: Any) -> None:
    """Ask a model as callers do, and write what is recorded of it."""
    body = json.dumps({"dataframe_split": {"columns": NAMES, "data": list(zip(*columns.values(), strict=True))}})
    answer = Application(Scorer(bundle), ServeSettings()).answer(
        "POST", "/invocations", body.encode(), "application/json", "application/json", "r", None
    )
    assert answer.status == 200, answer.body
    exchange = Exchange(
        inference_id=str(changes.pop("inference_id", "id")),
        moment=(NOW - timedelta(hours=1)).replace(tzinfo=None),
        asked=Side(content_type="application/json", body=body.encode()),
        answered=Side(content_type="application/json", body=answer.body),
    )
    served = ServedModel(version="3", inputs=tuple(NAMES), threshold=None)
    recorder = Recorder(flights_like(bundle.signature.task), model="flights", find_model=lambda *_: served)
    records = [one | changes for one in recorder.records(exchange, "champion")]
    folder.mkdir(exist_ok=True)
    write_parquet(folder / f"{len(list(folder.iterdir()))}.parquet", recorder.columns, records)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    made = {}
    for task in ("binary", "multiclass", "regression"):
        candidate, threshold = ("linear" if task == "regression" else "logistic"), 0.4 if task == "binary" else None
        made[task] = make_bundle(task, tmp_path_factory.mktemp(task) / "model", candidate=candidate,
                                 threshold=threshold, rows=300)  # fmt: skip
    made["other"] = make_bundle("binary", tmp_path_factory.mktemp("other") / "model", threshold=0.2, rows=60)
    return made


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_model_that_is_asked_its_own_requests_again_says_the_same(
    models: dict[str, Bundle], task: TaskType, tmp_path: Path
) -> None:
    record(models[task], tmp_path / "r", rows_of(ROWS))
    found = replay(tmp_path / "r", models[task], variant="champion", since=SINCE)
    assert (found.asked, found.refused, found.pairs.rows) == (ROWS, 0, ROWS)
    champion, challenger = found.pairs.champion, found.pairs.challenger
    if task == "regression":
        assert champion.decisions is None
    else:
        assert champion.decisions is not None
        assert len(set(champion.decisions)) > 1
        assert champion.decisions.tolist() == challenger.decisions.tolist()  # type: ignore[union-attr]
    if task == "multiclass":
        assert challenger.scores is None
    else:
        assert champion.scores == pytest.approx(challenger.scores)


def test_another_model_is_found_to_say_something_else(models: dict[str, Bundle], tmp_path: Path) -> None:
    record(models["binary"], tmp_path / "r", rows_of(ROWS))
    pairs = replay(tmp_path / "r", models["other"], variant="champion", since=SINCE).pairs
    assert pairs.rows == ROWS
    assert pairs.champion.decisions is not None
    assert 0.1 < (pairs.champion.decisions == pairs.challenger.decisions).mean() < 0.95


def test_each_prediction_counts_once_and_older_ones_and_those_of_another_variant_do_not(
    models: dict[str, Bundle], tmp_path: Path
) -> None:
    folder, few = tmp_path / "r", rows_of(5)
    record(models["binary"], folder, few)
    record(models["binary"], folder, few)
    record(models["binary"], folder, few, inference_id="old", event_time=datetime(2026, 11, 1))
    record(models["binary"], folder, few, inference_id="shadow", variant="challenger")
    assert replay(folder, models["binary"], variant="champion", since=SINCE).asked == 5


def test_rows_that_the_challenger_would_refuse_are_counted_and_cost_the_others_nothing(
    models: dict[str, Bundle], tmp_path: Path
) -> None:
    record(models["binary"], tmp_path / "r", rows_of(40))
    record(models["binary"], tmp_path / "r", rows_of(3, seed=1), inference_id="b", input_hour=None)
    found = replay(tmp_path / "r", models["binary"], variant="champion", since=SINCE)
    assert (found.asked, found.refused, found.pairs.rows) == (43, 3, 40)


def test_an_input_that_is_not_recorded_is_named_with_the_remedy(models: dict[str, Bundle], tmp_path: Path) -> None:
    record(models["binary"], tmp_path / "r", rows_of(3))
    lacking = write_without(tmp_path / "r", "input_wind")
    with pytest.raises(InputError, match=r"asks for wind, which .* Deploy once without serving\.shadow"):
        replay(lacking, models["binary"], variant="champion", since=SINCE)


def write_without(folder: Path, column: str) -> Path:
    import pyarrow.parquet as pq

    (path,) = folder.iterdir()
    pq.write_table(pq.read_table(path).drop_columns([column]), path)
    return folder


def test_nothing_recorded_is_no_pair(models: dict[str, Bundle], tmp_path: Path) -> None:
    assert replay(tmp_path, models["binary"], variant="champion", since=SINCE).asked == 0
