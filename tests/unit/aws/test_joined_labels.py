"""Rows of accepted files are known again as records of predictions spell their entities."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from passerelle.aws.joined_labels import Joined, LabelFiles
from passerelle.contracts.monitoring import CountQuestion
from passerelle.domain.predictions.cells import cell_text
from passerelle.domain.project import Project, load_project
from tests.e2e.projects import project_document

MOMENT = datetime(2026, 11, 1, 10)
QUESTION = CountQuestion(
    start="2026-11-01T00:00:00+00:00", end="2026-11-02T00:00:00+00:00", variant="champion", version="1"
)


def _project(entity: Sequence[str] = ("customer",), *, personal: bool = False) -> Project:
    document = project_document("shop", "binary")
    document["data"]["entity_id"] = list(entity)
    if personal:
        document["data"]["columns"][0]["sensitivity"] = "personal"
    return load_project(yaml.safe_dump(document), source="project.yaml")


def _told(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist([{"seen_at": MOMENT, **row} for row in rows]), path)
    return path


def _asked(path: Path, entities: Sequence[str | None], moment: datetime | None = MOMENT) -> Path:
    rows = [
        {
            "inference_id": f"i{number}",
            "request_row": 0,
            "event_time": MOMENT,
            "variant": "champion",
            "entity_id": entity,
            **({"input_seen_at": moment} if moment else {}),
        }
        for number, entity in enumerate(entities)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def _join(project: Project, told: Path, asked: Path, key: bytes = b"") -> tuple[Joined, list[tuple[str, Any]]]:
    target = told.with_name("labels.parquet")
    with LabelFiles(project, told.parent, memory_mib=100, hash_key=key) as files:
        files.add(told, "a")
        files.all_added()
        joined = files.join([asked], QUESTION, target)
    rows = pq.read_table(target).to_pylist() if target.exists() else []
    return joined, [(row["inference_id"], row["label"]) for row in rows]


@pytest.mark.parametrize("key", [b"k" * 32, b"long" * 40])
def test_a_personal_entity_is_known_by_its_keyed_hash_only(tmp_path: Path, key: bytes) -> None:
    project = _project(personal=True)
    hashed = [hmac.new(key, f"shop\0{name}".encode(), hashlib.sha256).hexdigest() for name in ("zoé", "o'hara")]
    told = _told(tmp_path / "told.parquet", [{"customer": "zoé", "churned": 1}, {"customer": "o'hara", "churned": 0}])
    joined, rows = _join(project, told, _asked(tmp_path / "asked.parquet", [*hashed, "zoé"]), key)
    assert joined == Joined(labelled={"a": 2}, conflicts=0)
    assert rows == [("i0", 1.0), ("i1", 0.0)]


def test_of_several_classes_the_label_is_the_classs_name_and_two_names_are_a_conflict(tmp_path: Path) -> None:
    project = load_project(yaml.safe_dump(project_document("shop", "multiclass")), source="project.yaml")
    tiers = [("a", "gold"), ("b", "o'ring “ß”"), ("c", None), ("d", "gold"), ("d", "silver"), ("e", "nan")]
    told = _told(tmp_path / "told.parquet", [{"customer": name, "tier": tier} for name, tier in tiers])
    joined, found = _join(project, told, _asked(tmp_path / "asked.parquet", [*"abcde"]))
    assert found == [("i0", "gold"), ("i1", "o'ring “ß”"), ("i3", None), ("i4", "nan")]
    assert joined == Joined(labelled={"a": 3}, conflicts=1)


def test_classes_that_are_numbers_or_truth_values_are_spelt_as_models_learn_them(tmp_path: Path) -> None:
    for type_, values, spelt in (("integer", (3, -1), ["3", "-1"]), ("boolean", (True, False), ["true", "false"])):
        document = project_document("shop", "multiclass")
        next(column for column in document["data"]["columns"] if column["name"] == "tier")["type"] = type_
        project = load_project(yaml.safe_dump(document), source="project.yaml")
        rows = [{"customer": name, "tier": value} for name, value in zip("ab", values, strict=True)]
        told = _told(tmp_path / f"{type_}.parquet", rows)
        _, found = _join(project, told, _asked(tmp_path / "asked.parquet", [*"ab"]))
        assert [label for _, label in found] == spelt


def test_an_entity_of_several_columns_is_spelt_as_records_spell_it(tmp_path: Path) -> None:
    project = _project(("customer", "visits", "seen_at", "age"))
    values: list[tuple[str, int, float | None]] = [("c", 7, 1.5), ("d", 8, None), ("e", 9, 1e20)]
    spelt = ["|".join(map(cell_text, (name, visits, MOMENT, age))) for name, visits, age in values]
    rows = [{"customer": name, "visits": visits, "age": age, "churned": 1} for name, visits, age in values]
    joined, found = _join(project, _told(tmp_path / "told.parquet", rows), _asked(tmp_path / "asked.parquet", spelt))
    assert (joined.labelled, [name for name, _ in found]) == ({"a": 3}, ["i0", "i1", "i2"])


def test_rows_of_nothing_that_is_named_are_joined_with_nothing(tmp_path: Path) -> None:
    told = _told(tmp_path / "told.parquet", [{"customer": None, "churned": 1}, {"customer": "a", "churned": 1}])
    joined, found = _join(_project(), told, _asked(tmp_path / "asked.parquet", [None, "", "a"]))
    assert (joined.labelled, found) == ({"a": 1}, [("i2", 1.0)])


def test_where_callers_send_no_moment_rows_of_an_entity_that_differ_are_a_conflict(tmp_path: Path) -> None:
    other = datetime(2026, 11, 2)
    rows = [
        {"customer": "a", "churned": 1},
        {"customer": "a", "churned": 0, "seen_at": other},
        {"customer": "b", "churned": 1},
        {"customer": "b", "churned": 1, "seen_at": other},
    ]
    asked = _asked(tmp_path / "asked.parquet", ["a", "b"], moment=None)
    joined, found = _join(_project(), _told(tmp_path / "told.parquet", rows), asked)
    assert (joined.conflicts, found) == (1, [("i0", None), ("i1", 1.0)])


def test_a_row_that_names_its_request_is_of_that_request_whatever_else_it_says(tmp_path: Path) -> None:
    document = project_document("shop", "binary")
    document["data"]["inference_id"] = "asked_as"
    document["data"]["columns"].append({"name": "asked_as", "type": "category", "role": "ignored", "nullable": True})
    project = load_project(yaml.safe_dump(document), source="project.yaml")
    rows: list[dict[str, Any]] = [
        {"customer": "z", "churned": 1, "asked_as": "i0"},
        {"customer": "z", "churned": 0, "asked_as": "i1#0"},
        {"customer": "z", "churned": 1, "asked_as": "i2#1"},
        {"customer": "d", "churned": 1, "asked_as": None},
        {"customer": "e", "churned": 1, "asked_as": "i4"},
        {"customer": "e", "churned": 0, "asked_as": ""},
    ]
    asked = _asked(tmp_path / "asked.parquet", ["a", "b", "c", "d", "e"])
    joined, found = _join(project, _told(tmp_path / "told.parquet", rows), asked)
    assert found == [("i0", 1.0), ("i1", 0.0), ("i3", 1.0), ("i4", None)]
    assert joined.conflicts == 1
