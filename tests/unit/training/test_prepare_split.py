"""Splits: no row, moment or entity in two parts, and each stays where it is when files are added or re-ordered."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from passerelle.contracts.container import PrepareResult
from tests.e2e.projects import Row, as_csv, make_rows
from tests.unit.training.prepared import ROWS, make_project, only_problem, parts, run_project
from training.prepare.main import Folders

#: Four visits of each of 300 customers.
VISITS = [{**row, "customer": f"c{index % 300:05d}"} for index, row in enumerate(make_rows(1_200))]


def split_by(
    tmp_path: Path, by: str, files: dict[str, list[Row]], *, seed: int = 7, **data: Any
) -> tuple[PrepareResult, Folders]:
    project = make_project(training={"split": {"by": by}, "seed": seed}, **data)
    return run_project(tmp_path, {name: as_csv(rows) for name, rows in files.items()}, project)


def where(result: PrepareResult, folders: Folders) -> dict[Any, str]:
    """Return the part of each row, a row being known by its entity and time."""
    assert result.status == "accepted", result.problems
    found = parts(result, folders)
    places = {(row["__entity"], row["__event_time"]): name for name, rows in found.items() for row in rows}
    assert len(places) == sum(len(rows) for rows in found.values())
    return places


@pytest.mark.parametrize("by", ["random", "entity"])
def test_rows_keep_their_part_when_they_are_re_ordered_spread_over_files_and_joined_by_others(
    tmp_path: Path, by: str
) -> None:
    before = where(*split_by(tmp_path, by, {"p-x/b.csv": VISITS}))
    shuffled = random.Random(5).sample(VISITS, len(VISITS))
    later = [{**row, "customer": f"new{index % 50}"} for index, row in enumerate(make_rows(200, seed=9))]
    files = {"p-x/a.csv": shuffled[:500], "p-x/b.csv": later, "p-x/c.csv": shuffled[500:]}
    after = where(*split_by(tmp_path, by, files))
    assert len(after) == 1_400
    assert {key: after[key] for key in before} == before


@pytest.mark.parametrize("by", ["time", "random", "entity"])
def test_the_order_of_files_and_rows_does_not_change_one_byte_of_the_parts(tmp_path: Path, by: str) -> None:
    visits = [{**row, "seen_at": VISITS[index // 3 * 3]["seen_at"]} for index, row in enumerate(VISITS)]
    result, folders = split_by(tmp_path, by, {"p-x/a.csv": visits[:700], "p-x/b.csv": visits[700:]})
    first = parts(result, folders)
    shuffled = random.Random(6).sample(visits, len(visits))
    result, folders = split_by(tmp_path, by, {"p-x/a.csv": shuffled[:300], "p-x/b.csv": shuffled[300:]})
    assert parts(result, folders) == first


def test_rows_whose_entities_read_the_same_keep_their_order_though_other_cells_make_them_up(tmp_path: Path) -> None:
    names = [("a|b", "c"), ("a", "b|c"), ("d", ""), ("", "d|"), ("", ""), ("x", "y")]
    visits = [
        {**row, "customer": names[index % 6][0], "tier": names[index % 6][1], "seen_at": VISITS[index // 6]["seen_at"]}
        for index, row in enumerate(VISITS)
    ]
    found = []
    for order in (1, -1):
        columns = [
            {**column, "nullable": column["name"] in ("customer", "tier", "age")}
            for column in make_project().model_dump(mode="json")["data"]["columns"]
        ]
        names_entity: dict[str, Any] = {"columns": columns, "entity_id": ["customer", "tier"]}
        result, folders = split_by(tmp_path, "time", {"p-x/a.csv": [*visits, *visits[:30]][::order]}, **names_entity)
        assert (result.status, result.duplicate_rows) == ("accepted", 30), result.problems
        found.append(parts(result, folders))
    assert found[0] == found[1]
    entities = [row["__entity"] for row in found[0]["train"][:6]]
    assert entities == ["a|b|c", "a|b|c", "d|", "x|y", "|", "|d|"]


@pytest.mark.parametrize("by", ["random", "entity"])
def test_the_shares_are_those_declared_and_the_seed_chooses_the_rows(tmp_path: Path, by: str) -> None:
    first = where(*split_by(tmp_path, by, {"p-x/a.csv": VISITS}, seed=1))
    shares = Counter(first.values())
    assert 0.62 < shares["train"] / 1_200 < 0.78
    assert 0.10 < shares["validation"] / 1_200 < 0.20
    assert where(*split_by(tmp_path, by, {"p-x/a.csv": VISITS}, seed=2)) != first


def test_an_entity_is_never_in_two_parts(tmp_path: Path) -> None:
    places = where(*split_by(tmp_path, "entity", {"p-x/a.csv": VISITS}))
    found: dict[str, set[str]] = {}
    for (entity, _), part in places.items():
        found.setdefault(entity, set()).add(part)
    assert len(found) == 300
    assert all(len(names) == 1 for names in found.values())


def test_rows_of_one_entity_and_time_that_differ_elsewhere_are_told_apart_by_a_random_split(tmp_path: Path) -> None:
    rows = [{**row, "seen_at": "2024-01-01T00:00:00Z", "customer": "c"} for row in VISITS]
    result, _ = split_by(tmp_path, "random", {"p-x/a.csv": rows})
    assert result.status == "accepted"
    assert 0.6 < result.split["train"].rows / sum(part.rows for part in result.split.values()) < 0.8


def test_a_part_that_is_too_small_is_refused_with_its_rows(tmp_path: Path) -> None:
    rows = [{**row, "seen_at": "2025-01-01T00:00:00Z"} if index > 60 else row for index, row in enumerate(ROWS)]
    result, _ = split_by(tmp_path, "time", {"p-x/a.csv": rows})
    problem = only_problem(result, "small_part")
    assert result.status == "rejected"
    assert problem.message == "the validation part of the split has 0 rows"
    assert problem.remedy


@pytest.mark.parametrize("by", ["time", "random", "entity"])
def test_a_class_too_rare_to_be_learnt_and_tested_is_refused_by_name(tmp_path: Path, by: str) -> None:
    rows = [
        {**row, "tier": "platinum" if index in (3, 4) else "gold" if index % 2 else "silver"}
        for index, row in enumerate(ROWS)
    ]
    project = make_project("multiclass", training={"split": {"by": by}})
    result, _ = run_project(tmp_path, {"p-x/a.csv": as_csv(rows)}, project)
    problem = only_problem(result, "rare_class")
    assert (result.status, problem.column) == ("rejected", "tier")
    assert "'platinum'" in problem.message
    assert problem.remedy


def test_a_serial_number_is_dropped_and_an_amount_that_never_repeats_is_flagged(tmp_path: Path) -> None:
    columns = make_project().model_dump(mode="json")["data"]["columns"]
    columns += [{"name": name, "type": kind} for name, kind in
                [("serial", "integer"), ("order", "number"), ("amount", "integer"), ("height", "number"), ("code", "category")]]  # fmt: skip
    rows = [
        {**row, "serial": 70_000 + index, "order": f"{index}.0", "amount": index**2 * 1_000 + 7,
         "height": index + 0.25, "code": f"k{index}"}
        for index, row in enumerate(ROWS)
    ]  # fmt: skip
    result, folders = run_project(tmp_path, {"p-x/a.csv": as_csv(rows)}, make_project(columns=columns))
    assert set(result.dropped_columns) == {"serial", "order", "code"}
    assert all("identifies" in why for why in result.dropped_columns.values())
    problem = only_problem(result, "id_like")
    assert (result.status, problem.severity, problem.column) == ("accepted", "warning", "amount")
    assert "role: ignored" in problem.remedy
    names = pq.read_schema(next((folders.curated / "datasets" / str(result.dataset_id) / "train").iterdir())).names
    assert {"amount", "height"} <= set(names)
    assert not {"serial", "order", "code"} & set(names)


def test_a_text_that_identifies_the_rows_that_have_it_is_dropped_though_half_lack_it(tmp_path: Path) -> None:
    columns = make_project().model_dump(mode="json")["data"]["columns"]
    columns.append({"name": "ticket", "type": "text", "nullable": True})
    rows = [{**row, "ticket": f"t{index}" if index % 2 else ""} for index, row in enumerate(ROWS)]
    result, _ = run_project(tmp_path, {"p-x/a.csv": as_csv(rows)}, make_project(columns=columns))
    assert set(result.dropped_columns) == {"ticket"}
