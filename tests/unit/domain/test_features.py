"""features.py: expressions of single rows only, one text of SQL for files and requests, every fault with its line."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml

from passerelle.contracts.bundle import BundleSignature, DerivedFeature
from passerelle.domain.dataset.schema import feature_names, sent_columns, signature_columns
from passerelle.domain.features.derive import Deriver, ModelColumns
from passerelle.domain.features.query import prepared_query, read_columns
from passerelle.domain.features.source import compile_features
from passerelle.domain.project import Project, load_project
from passerelle.errors import BundleError, ProjectError
from tests.e2e.projects import project_document

ROOT = Path(__file__).resolve().parents[3]
COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "type": "category", "role": "ignored"},
    {"name": "seen_at", "type": "datetime"},
    {"name": "dose", "type": "number", "nullable": True},
    {"name": 'a "b" {c}', "type": "integer", "nullable": True},
    {"name": "member", "type": "boolean", "nullable": True},
    {"name": "plan", "type": "category", "nullable": True},
    {"name": "after", "type": "number", "nullable": True, "role": "leakage"},
    {"name": "who", "type": "text", "nullable": True, "sensitivity": "personal"},
    {"name": "label", "type": "number", "nullable": True},
]
TYPES = {"ratio": "number", "route": "category", "twice": "integer", "high": "boolean", "asked": "number"}
SOURCE = b"""
import ibis


def features(rows):
    whole = rows['a "b" {c}']
    return {
        "ratio": rows.dose / whole,
        "route": rows.plan + "-" + rows.seen_at.hour().cast("string"),
        "twice": whole * 2,
        "high": ibis.ifelse(rows.member, rows.dose.log() > 1, rows.dose.isnull()),
        "asked": rows.plan.cast("float64"),
    }
"""


def make_project(types: dict[str, str] = TYPES, **training: Any) -> Project:
    document = project_document("p-x", "binary")
    derived = [{"name": name, "type": kind} for name, kind in types.items()]
    label = {"column": "label", "positive": 1}
    document["data"] |= {"entity_id": "id", "label": label, "columns": COLUMNS, "features": {"columns": derived}}
    document["task"].pop("segments")
    document["training"] |= {"candidates": ["baseline"]} | training
    return load_project(yaml.safe_dump(document), source="p.yaml")


def compiled(expression: str, kind: str = "number") -> DerivedFeature:
    source = f"import ibis\ndef features(rows):\n    return {{\n        'it': {expression},\n    }}\n"
    (feature,) = compile_features(source.encode(), make_project({"it": kind}))
    return feature


# The same for a file and for a request

ODD: dict[str, list[Any]] = {
    "dose": [None, 0.0, -0.0, 1.0, -1.0, 1e308, 5e-324, 0.1, 1e-7],
    'a "b" {c}': [None, 0, 1, -3, 2**53 + 1, 2**62, -(2**62)],
    "member": [None, True, False],
    "plan": [None, "a", "été", "12", "1e400", "-0", "NaN", "inf", " ", "x" * 300, "😀"],
    "seen_at": [datetime(1999, 12, 31, 23, 59, 59, 999_999), datetime(2024, 2, 29), datetime(1700, 1, 1)],
}


def odd_rows() -> dict[str, list[Any]]:
    """Return rows in which the columns' values meet in many ways."""
    return {name: [values[row % len(values)] for row in range(99)] for name, values in ODD.items()}


def prepared(rows: dict[str, list[Any]], derived: tuple[DerivedFeature, ...]) -> dict[str, list[Any]]:
    """Return what preparation makes of typed rows."""
    types = {"dose": pa.float64(), "member": pa.bool_(), "plan": pa.string(), "seen_at": pa.timestamp("us")}
    table = pa.table({name: pa.array(values, types.get(name, pa.int64())) for name, values in rows.items()})
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("typed", table)
        found = connection.execute(prepared_query("SELECT * FROM typed", derived)).to_arrow_table()
    assert found.column_names == [*rows, *(feature.name for feature in derived)]
    return {feature.name: found[feature.name].to_pylist() for feature in derived}


def served(rows: dict[str, list[Any]], derived: tuple[DerivedFeature, ...]) -> dict[str, list[Any]]:
    """Return what a server makes of the same rows in a request, where they have passed its checks."""
    sent = {name: [value if value is None or name in ("plan", "seen_at") else float(value) for value in values]
            for name, values in rows.items()}  # fmt: skip
    sent["seen_at"] = [f"{(moment + timedelta(hours=2)).isoformat()}+02:00" for moment in rows["seen_at"]]
    return Deriver(derived).derive(sent)


def as_model_sees(values: list[Any]) -> list[Any]:
    return [
        value if value is None or isinstance(value, str) else (float(value), math.copysign(1, value))
        for value in values
    ]


def test_a_feature_of_a_request_is_that_of_the_file_to_the_last_bit_for_odd_values_too() -> None:
    derived, rows = compile_features(SOURCE, make_project()), odd_rows()
    trained, asked = prepared(rows, derived), served(rows, derived)
    for name in TYPES:
        assert as_model_sees(asked[name]) == as_model_sees(trained[name]), name
    assert set(trained["high"]) == {True, False, None}
    assert sum(value is not None for value in trained["ratio"]) > 20


def test_row_by_row_is_as_all_at_once_and_in_order() -> None:
    derived, rows = compile_features(SOURCE, make_project()), odd_rows()
    whole = served(rows, derived)
    for row in range(0, len(rows["dose"]), 20):
        one = served({name: [values[row]] for name, values in rows.items()}, derived)
        assert one == {name: [values[row]] for name, values in whole.items()}


@pytest.mark.parametrize(
    ("expression", "dose", "expected"),
    [
        ("rows.dose / 0", 1.0, None),  # infinite
        ("(0 * rows.dose) / 0", 1.0, None),  # not a number
        ("rows.dose.log()", -1.0, None),  # DuckDB refuses it
        ("rows.dose * 1e300", 1e10, None),  # beyond single precision
        ("rows.dose * -1", 0.0, 0.0),
        ("rows.dose + 1", None, None),
        ("rows.dose.fill_null(7)", None, 7.0),
    ],
)
def test_what_cannot_be_computed_or_is_not_finite_is_missing(
    expression: str, dose: float | None, expected: Any
) -> None:
    (value,) = Deriver([compiled(expression)]).derive({"dose": [dose]})["it"]
    assert value == expected
    assert value is None or math.copysign(1, value) == 1


def test_an_empty_text_is_missing_as_an_empty_cell_is() -> None:
    assert Deriver([compiled("rows.plan.strip()", "category")]).derive({"plan": ["", " ", "a "]})["it"] == [
        None,
        None,
        "a",
    ]


def test_a_query_reaches_no_file() -> None:
    feature = compiled("rows.dose + 1").replaced(sql="(SELECT count(*) FROM read_text('/etc/*'))")
    with pytest.raises(duckdb.Error, match="disabled"):
        Deriver([feature])
    signature = BundleSignature(task="regression", inputs=feature.reads, derived=(feature,), seen=(feature.column,))
    with pytest.raises(BundleError, match="cannot be derived"):
        ModelColumns(signature)


# What is refused


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("rows.dose - rows.dose.mean()", r"uses Mean, which aggregates rows\. .*constant"),
        ("rows.dose.lag()", r"uses Lag, which looks at other rows"),
        ("rows.dose.sum().over(ibis.window(order_by=rows.seen_at))", r"uses (Sum|WindowFunction), which"),
        ("ibis.row_number()", "uses RowNumber, which looks at other rows"),
        ("ibis.random() + rows.dose", "uses RandomScalar, which is another each time"),
        ("(ibis.now() - rows.seen_at).cast('int64')", r"uses TimestampNow, which is another each time\. .*event time"),
        ("rows.dose.isin(rows.filter(rows.member).dose)", "uses InSubquery, which looks at other rows"),
        ("rows.dose - rows.dose.max().as_scalar()", "uses ScalarSubquery, which looks at other rows"),
        ("rows.plan.split(',').unnest()", r"uses Unnest, which makes several rows of one\. .*value\[0\]"),
        ("rows.plan.hash()", r"uses Hash, which differs from version to version\. .*hexdigest"),
        ("ibis.memtable({'x': [1.0]}).x", r"reads another table \(InMemoryTable\)"),
        (
            "ibis.udf.scalar.python(lambda x: x, name='f', signature=((float,), float))(rows.dose)",
            "runs code of its own",
        ),
        ("ibis.literal(1.0)", "reads no column"),
        ("3.5", "is a float, no Ibis expression"),
        ("rows.plan", r"is declared as number, and its expression is category \(string\)\. Write `type: category`"),
        ("rows.seen_at", r"is of Ibis's type timestamp.*\.hour\(\)"),
    ],
)
def test_what_no_server_could_compute_is_refused_with_feature_line_operation_and_remedy(
    expression: str, says: str
) -> None:
    with pytest.raises(ProjectError, match=rf"^features\.py:4: feature 'it' .*{says}"):
        compiled(expression)


def test_an_integer_may_be_declared_as_a_number() -> None:
    assert Deriver([compiled("rows.dose.cast('int64')")]).derive({"dose": [2.0]})["it"] == [2.0]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"\nimport nosuch", r"features\.py:2: cannot be imported: ModuleNotFoundError: No module named 'nosuch'\."),
        (b"\n\nx = (", r"features\.py:3: not Python: .*never closed"),
        (b"x = '\xff'", r"features\.py:1: not UTF-8"),
        (b"x = 1", r"features\.py:1: there is no function features\(rows\)"),
        (b"def features(rows):\n    a = 1\n    return {'it': a / 0}", r"features\.py:3: features\(rows\) failed: ZeroDivisionError"),
        (b"def features(rows):\n    return {'it': rows.after}", r"features\.py:2: .*'after'.*`rows` has the columns id, seen_at, dose"),
        (b"def features(rows):\n    return {'it': rows.who}", r"features\.py:2: .*'who'.*personal columns are not among them"),
        (b"def features(rows):\n    return [1]", r"features\.py:1: features\(rows\) returned a list, no dict"),
        (b"def features(rows):\n    return {1: rows.dose}", r"returned a dict whose keys are not all texts"),
        (b"def features(rows):\n    return {}", r"feature 'it' is declared in data\.features\.columns and not returned"),
        (b"def features(rows):\n    return {\n  'it': rows.dose,\n  'more': rows.dose}", r"features\.py:4: feature 'more' is returned and not declared"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_file_is_said_with_its_line(source: bytes, says: str) -> None:
    with pytest.raises(ProjectError, match=says):
        compile_features(source, make_project({"it": "number"}))


def test_every_problem_is_told_at_once() -> None:
    source = b"def features(rows):\n    return dict(a=rows.dose.mean(),\n      b=rows.plan)"
    with pytest.raises(ProjectError) as caught:
        compile_features(source, make_project({"a": "number", "b": "number", "c": "number"}))
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == ["1", "2", "3"]


# The declaration


@pytest.mark.parametrize("name", ["dose", "DOSE", "__x", "_line", " x"])
def test_a_features_name_is_its_own(name: str) -> None:
    with pytest.raises(ProjectError, match=r"p\.yaml:\d+: data\.features\.columns\.0\.name: "):
        make_project({name: "number"})


def test_a_declared_feature_is_a_feature_like_others_in_rules_constraints_and_segments() -> None:
    project = make_project(monotone={"ratio": "increasing"}, rule=["twice > 3 -> 0.9", "otherwise -> 0.1"])
    assert list(TYPES) == [column.name for column in project.feature_columns][-len(TYPES) :]
    assert feature_names(project)[-len(TYPES) - 1 :] == (*TYPES, "seen_at")
    with pytest.raises(ProjectError, match="only a number can rise and fall"):
        make_project(monotone={"route": "increasing"})


def test_the_contract_hash_is_of_the_file_too_and_of_projects_without_it_what_it_was() -> None:
    project = make_project()
    hashes = {
        project.contract_hash("a"),
        project.contract_hash("b"),
        make_project({"ratio": "number"}).contract_hash("a"),
    }
    assert len(hashes) == 3
    plain = project.model_copy(update={"data": project.data.model_copy(update={"features": None})})
    assert plain.contract_hash() == plain.contract_hash("a") not in hashes


# What a caller sends


def test_a_caller_sends_what_features_read_and_a_smaller_model_asks_for_less() -> None:
    project = make_project()
    derived, inputs = compile_features(SOURCE, project), signature_columns(project)
    whole = BundleSignature(
        task="binary", inputs=sent_columns(inputs, derived), classes=("0", "1"), derived=derived, seen=inputs
    )
    assert {column.name for column in whole.inputs} == {"dose", 'a "b" {c}', "member", "plan", "seen_at"}
    assert whole.model_inputs == inputs
    part = whole.seeing({"route", "dose"})
    assert [column.name for column in part.inputs] == ["dose", "plan", "seen_at"]
    assert [column.name for column in part.model_inputs] == ["dose", "route"]
    seen = ModelColumns(part)({"dose": [1.0], "plan": ["a"], "seen_at": ["2024-01-01T05:00:00Z"]})
    assert seen == {"dose": [1.0], "route": ["a-5"]}
    none = whole.seeing({"dose"})
    assert ([c.name for c in none.inputs], none.derived, none.model_inputs) == (["dose"], (), none.inputs)
    columns = {"dose": [1.0]}
    assert ModelColumns(none)(columns) is columns


def test_a_signature_comes_back_from_its_file() -> None:
    derived = compile_features(SOURCE, make_project())
    signature = BundleSignature(
        task="regression", inputs=read_columns(derived), derived=derived, seen=(derived[0].column,)
    )
    assert BundleSignature.from_json(signature.to_json()) == signature


def test_the_documented_example_is_one_of_the_flights_project() -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8").split("## Features of your own")[1]
    declared, source = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[0] for kind in ("yaml", "python"))
    document = yaml.safe_load((ROOT / "projects" / "flights" / "project.yaml").read_text(encoding="utf-8"))
    document["data"] |= yaml.safe_load(declared)["data"]
    derived = compile_features(source.encode(), load_project(yaml.safe_dump(document), source="p"))
    row = {"origin": "JFK", "dest": "LAX", "hour": 23.0, "sched_dep_time": 2330.0, "sched_arr_time": 215.0}
    found = Deriver(derived).derive({name: [value] for name, value in row.items()})
    assert found == {"route": ["JFK-LAX"], "evening_at": ["JFK"], "minutes_planned": [165.0]}
