"""Labels that became known, in files as people have them: what is read, and what is refused with its place."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passerelle.domain.project import Project, load_project
from passerelle.errors import InputError
from passerelle.steps.outcome_files import Labels, read_labels

TEXT = """
name: shop
why: {objective: o, kpi: k, owner: w, scope: {row: an order}}
data:
  entity_id: [customer, day]
  event_time: day
  label: {column: paid, positive: "yes", known_after: P30D}
  columns:
    - {name: customer, type: integer}
    - {name: day, type: datetime}
    - {name: basket, type: number}
    - {name: paid, type: category, nullable: true}
task: {type: binary, metric: roc_auc}
budget: {monthly_usd: 10, cost_centre: c}
"""


def project(text: str = TEXT) -> Project:
    return load_project(text, source="project.yaml")


def labels(folder: Path, name: str, content: str | bytes, text: str = TEXT) -> Labels:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_labels(project(text), [path])


def test_labels_are_told_by_prediction_or_by_entity_as_records_spell_it(tmp_path: Path) -> None:
    told = labels(tmp_path, "a.csv", "inference_id,request_row,paid\nx,0,yes\nx,1,no\ny,,yes\nz,0,\n")
    assert (told.by, told.known) == ("inference_id", {"x#0": "yes", "x#1": "no", "y#0": "yes"})
    entities = labels(tmp_path, "b.csv", "\ufeffcustomer,day,paid\n7,2026-11-01,yes\n8,2026-11-01T12:30:00.5Z,no\n")
    assert entities.by == "entity_id"
    assert entities.known == {"7|2026-11-01 00:00:00": "yes", "8|2026-11-01 12:30:00.5": "no"}


def test_parquet_json_lines_and_csv_give_the_same_labels(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"customer": 7, "day": datetime(2026, 11, 1, 8), "paid": "yes"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text(json.dumps(rows[0], default=str) + "\n\n")
    (tmp_path / "a.csv").write_text("customer,day,paid\n7,2026-11-01 08:00:00,yes\n")
    read = [read_labels(project(), [tmp_path / f"a.{kind}"]).known for kind in ("csv", "jsonl", "parquet")]
    assert read == [{"7|2026-11-01 08:00:00": "yes"}] * 3
    assert read_labels(project(), [tmp_path / f"a.{kind}" for kind in ("csv", "parquet")]).known == read[0]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", "x", r"a\.txt: outcomes are read from \.csv, \.jsonl, \.parquet"),
        ("a.csv", "inference_id,pay\nx,yes\n", r"no column 'paid', the contract's label; it has inference_id, pay"),
        ("a.csv", "customer,paid\n7,yes\n", r"all of customer, day; day is missing"),
        ("a.csv", "customer,day,paid\n7,soon,yes\n", r"a\.csv, row 1: day is 'soon', not datetime"),
        ("a.csv", "inference_id,paid\nx,yes\nx,no\n", r"row 2: paid is 'no', and 'yes' in .*a\.csv, row 1"),
        ("a.csv", "inference_id,request_row,paid\nx,first,yes\n", r"row 1: .*request_row 'first' is no whole number"),
        ("a.csv", b"inference_id,paid\n\xff,yes\n", r"a\.csv cannot be read: 'utf-8' codec"),
        ("a.jsonl", '{"inference_id": "x", "paid": "yes"}\n{"infer', r"a\.jsonl, row 2: not JSON"),
        ("a.jsonl", "[1]\n", r"row 1: each line must be a JSON object"),
        ("a.parquet", "no", r"a\.parquet is no readable Parquet file"),
    ],
)
def test_what_cannot_be_read_is_named_by_file_and_row(
    tmp_path: Path, name: str, content: str | bytes, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        labels(tmp_path, name, content)


def test_a_label_of_another_type_a_missing_file_and_two_ways_of_telling_are_refused(tmp_path: Path) -> None:
    numeric = TEXT.replace("{name: paid, type: category", "{name: paid, type: number").replace('"yes"', '"> 3"')
    with pytest.raises(InputError, match=r"row 2: paid is 'much', not number"):
        labels(tmp_path, "a.csv", "inference_id,paid\nx,3\ny,much\n", numeric)
    assert labels(tmp_path, "a.csv", "inference_id,paid\nx,NA\ny,4.5\n", numeric).known == {"y#0": 4.5}
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        read_labels(project(), [tmp_path / "none.csv"])
    (tmp_path / "b.csv").write_text("customer,day,paid\n7,2026-11-01,yes\n")
    (tmp_path / "ids.csv").write_text("inference_id,paid\nx,yes\n")
    with pytest.raises(InputError, match="Read them in two commands"):
        read_labels(project(), [tmp_path / "ids.csv", tmp_path / "b.csv"])


def test_entities_that_are_personal_are_told_by_inference_id_only(tmp_path: Path) -> None:
    personal = TEXT.replace("{name: customer, type: integer}", "{name: customer, type: integer, sensitivity: personal}")
    with pytest.raises(InputError, match="keyed hash of the entity"):
        labels(tmp_path, "a.csv", "customer,day,paid\n7,2026-11-01,yes\n", personal)
    assert labels(tmp_path, "b.csv", "inference_id,paid\nx,yes\n", personal).known == {"x#0": "yes"}
