"""One record for each prediction, with nothing personal in it; what cannot be read is told with its reason."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime
from typing import Any

import pandas as pd
import pytest

from passerelle.contracts import zones
from passerelle.contracts.prediction import IDENTITY, OWN_REQUEST, prediction_columns
from passerelle.domain.predictions import BrokenExchangeError, Recorder, once, read_captured
from passerelle.domain.predictions.cells import Value, cell_text, read_cell
from passerelle.domain.predictions.records import Record
from passerelle.domain.project import Project
from passerelle.errors import SettingsError
from tests.serving import GOOD_ROW
from tests.unit.domain.prediction_projects import flights_like

ANSWER = {
    "predictions": ["late"],
    "probabilities": [[0.25, 0.75]],
    "decisions": [True],
    "threshold": 0.5,
    "model": {"run_id": "r1", "version": 7},
}


def captured(body: Any, answer: Any = ANSWER, **about: str) -> bytes:
    """Return a captured line of JSON forms."""
    sides = {
        side: {"observedContentType": "application/json", "mode": mode, "data": json.dumps(value), "encoding": "JSON"}
        for side, mode, value in (("endpointInput", "INPUT", body), ("endpointOutput", "OUTPUT", answer))
    }
    metadata = {"eventId": "event-1", "inferenceTime": "2026-11-21T08:30:00Z", **about}
    return json.dumps({"captureData": sides, "eventMetadata": metadata, "eventVersion": "0"}).encode()


def records_of(line: bytes, project: Project, key: bytes = b"") -> list[Record]:
    """Return the records of a captured line, of whose model nothing else is known."""
    recorder = Recorder(project, model="flights", find_model=lambda exchange, run_id: None, hash_key=key)
    return recorder.records(read_captured(line), "champion")


def asked(**changes: Any) -> dict[str, Any]:
    """Return a request of one row."""
    return {"dataframe_records": [{**GOOD_ROW, **changes}]}


def test_a_record_holds_what_the_contract_of_records_says_in_its_order() -> None:
    (record,) = records_of(captured(asked(), inferenceId="mine"), flights_like())
    project = flights_like()
    columns = Recorder(project, model="flights", find_model=lambda exchange, run_id: None).columns
    assert tuple(record) == tuple(name for name, _ in columns)
    assert record == {
        "inference_id": "mine",
        "request_row": 0,
        "event_time": datetime(2026, 11, 21, 8, 30),
        "model": "flights",
        "version": "7",
        "variant": "champion",
        "entity_id": "N14228",
        "input_hour": 17,
        "input_distance": 1400.5,
        "input_wind": 12.5,
        "input_holiday": False,
        "input_carrier": "UA",
        "input_tailnum": "N14228",
        "input_time_hour": datetime(2013, 1, 1, 10),
        "input_passenger": None,
        "score": 0.75,
        "decision": "true",
        "latency_ms": None,
    }


def test_of_several_classes_a_record_ends_with_the_probability_of_each() -> None:
    answer = {**ANSWER, "predictions": ["late"], "probabilities": [[0.125, 0.625, 0.25]], "decisions": None}
    project = flights_like("multiclass")
    (record,) = records_of(captured(asked(), answer), project)
    columns = Recorder(project, model="flights", find_model=lambda exchange, run_id: None).columns
    assert tuple(record) == tuple(name for name, _ in columns)
    assert list(record.items())[-4:] == [
        ("score", 0.625), ("decision", "late"), ("latency_ms", None), ("probabilities", [0.125, 0.625, 0.25]),
    ]  # fmt: skip
    for task in ("binary", "regression"):
        assert "probabilities" not in dict(prediction_columns([], task))  # type: ignore[arg-type]


@pytest.mark.parametrize("shares", [None, [[0.5, float("nan"), 0.5]]])
def test_probabilities_that_are_none_leave_the_prediction(shares: Any) -> None:
    answer = {"predictions": ["late"], "probabilities": shares, "model": {"version": 1}}
    (record,) = records_of(captured(asked(), answer), flights_like("multiclass"))
    assert (record["decision"], record["probabilities"]) == ("late", None)


def test_without_an_id_of_the_caller_sagemakers_own_is_taken() -> None:
    (record,) = records_of(captured(asked()), flights_like())
    assert record["inference_id"] == "event-1"


def test_what_a_deployment_asks_itself_is_nobodys_prediction() -> None:
    assert records_of(captured(asked(), inferenceId=OWN_REQUEST), flights_like()) == []
    assert len(records_of(captured(asked(), inferenceId=f"{OWN_REQUEST}-not"), flights_like())) == 1


def test_what_the_contract_does_not_let_callers_send_is_dropped() -> None:
    (record,) = records_of(captured(asked(landed=12.0, secret="x", churned=1)), flights_like())
    assert not [name for name in record if "landed" in name or "secret" in name or "churned" in name]


def test_a_personal_column_is_nowhere_in_a_record() -> None:
    (record,) = records_of(captured(asked(passenger="Ada Lovelace")), flights_like(personal=("passenger",)))
    assert "input_passenger" not in record
    assert "Ada" not in str(record)
    (open_record,) = records_of(captured(asked(passenger="Ada Lovelace")), flights_like())
    assert open_record["input_passenger"] == "Ada Lovelace"


def test_a_personal_entity_is_kept_as_a_keyed_hash_that_is_equal_for_equal_entities() -> None:
    project = flights_like(personal=("tailnum",))
    first, again, other = (
        records_of(captured(asked(tailnum=name)), project, b"key")[0]["entity_id"] for name in ("N1", " N1 ", "N2")
    )
    assert first == again != other
    assert first == hmac.new(b"key", b"flights\0N1", hashlib.sha256).hexdigest()
    assert records_of(captured(asked(tailnum="N1")), project, b"another")[0]["entity_id"] != first


def test_a_personal_entity_is_not_recorded_without_a_key() -> None:
    with pytest.raises(SettingsError, match="no key to hash it with"):
        records_of(captured(asked()), flights_like(personal=("tailnum",)))


def test_an_entity_is_spelt_as_datasets_spell_it_and_missing_where_the_request_leaves_a_part_out() -> None:
    project = flights_like(entity=["carrier", "hour", "holiday", "time_hour"])
    (record,) = records_of(captured(asked(time_hour="2013-01-01T12:00:00.5+02:00")), project)
    assert record["entity_id"] == "UA|17|false|2013-01-01 10:00:00.5"
    row = {name: value for name, value in GOOD_ROW.items() if name != "hour"}
    (partial,) = records_of(captured({"dataframe_records": [row]}), project)
    assert partial["entity_id"] is None


@pytest.mark.parametrize(
    ("value", "type_", "read"),
    [
        (" 12 ", "integer", 12),
        ("9223372036854775807", "integer", 2**63 - 1),
        ("9223372036854775808", "integer", None),
        (3.0, "integer", 3),
        (3.5, "integer", None),
        ("NA", "number", None),
        (float("inf"), "number", None),
        ("yes", "boolean", True),
        ("maybe", "boolean", None),
        ("2013-01-01T10:00:00+01:00", "datetime", datetime(2013, 1, 1, 9)),
        ("01/02/2013", "datetime", None),
        (["a"], "text", None),
        (" x ", "category", "x"),
        ("half \ud800", "text", None),
    ],
)
def test_a_cell_is_read_as_its_type_or_missing(value: Any, type_: Any, read: Value) -> None:
    assert read_cell(value, type_, ("NA",)) == read


def test_texts_of_values_are_those_of_the_engine_that_prepares() -> None:
    import duckdb

    values: list[Value] = [5, 1.5, 2.0, 1e20, True, "x", datetime(2013, 1, 1), datetime(2013, 1, 1, 0, 0, 0, 120_000)]
    spelt = [duckdb.execute("SELECT CAST(? AS VARCHAR)", [value]).fetchall()[0][0] for value in values]
    assert [cell_text(value) for value in values] == spelt


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "the line is not JSON"),
        (b"[]", "not a captured request"),
        (b'{"captureData": {}, "eventMetadata": {"eventId": "e"}}', "not a captured request"),
        (captured(asked(), inferenceTime="noon"), "not ISO 8601"),
        (captured(asked(), inferenceTime="0001-01-01T00:00:00+01:00"), "not ISO 8601"),
        (captured({"dataframe_records": [GOOD_ROW, GOOD_ROW]}), "2 rows were asked and 1 answered"),
        (captured({"instances": [[1]]}), "which model answered"),
        (captured({"dataframe_split": {"columns": ["hour"], "data": [[1, 2]]}}), "not as many values"),
        (captured({"rows": []}), "no rows in a known form"),
        (captured(asked(), {"model": {}}), "in no known form: KeyError"),
        (captured(asked(), []), "in no known form"),
    ],
)
def test_what_cannot_be_read_says_why_and_quotes_nothing_of_it(line: bytes, why: str) -> None:
    with pytest.raises(BrokenExchangeError, match=why) as told:
        records_of(line, flights_like())
    assert "N14228" not in str(told.value)


def test_each_prediction_is_there_once_the_earliest_and_champion_and_shadow_both() -> None:
    times = [datetime(2026, 11, 21, 8, minute) for minute in (3, 1, 2, 1, 1)]
    delivered = pd.DataFrame(
        {
            "inference_id": ["a", "a", "a", "a", "b"],
            "request_row": [0, 0, 0, 1, 0],
            "variant": ["champion", "champion", "challenger", "champion", "champion"],
            "event_time": times,
            "version": "1",
            "score": [0.3, 0.1, 0.2, 0.4, 0.5],
        }
    )
    kept = once(delivered)
    assert sorted(kept["score"]) == [0.1, 0.2, 0.4, 0.5]
    assert not kept.duplicated(list(IDENTITY)).any()
    assert once(kept).equals(kept)


def test_names_of_columns_are_in_lower_case_and_none_is_taken_for_another() -> None:
    names = [name for name, _ in prediction_columns([("Score", "number"), ("inference_id", "text")])]
    assert {"input_score", "score", "input_inference_id", "inference_id"} <= set(names)
    assert len(names) == len(set(names))


def test_a_captured_object_names_its_project_and_variant_and_nothing_else_does() -> None:
    folder = f"{zones.capture_prefix('flights')}/passerelle-dev-flights/challenger/2026/11/21/08"
    assert zones.captured_by(f"{folder}/00-01-002-abc.jsonl") == ("flights", "challenger")
    for key in (f"{folder}/a.parquet", "flights/capture/e/champion/a.jsonl", folder.replace("capture", "records")):
        assert zones.captured_by(key) is None
    assert zones.captured_by(zones.prediction_records_key("flights", "2026-11-21", "s3://b/k", 0)) is None
