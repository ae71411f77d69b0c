"""project.yaml is read whole, and every problem is named with line, field and remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from passerelle.domain.project import Project, is_positive, load_project
from passerelle.domain.project.model import Label
from passerelle.errors import ProjectError
from tests.e2e.projects import project_document

FLIGHTS = Path(__file__).resolve().parents[3] / "projects" / "flights" / "project.yaml"


def problems(text: str) -> str:
    with pytest.raises(ProjectError) as caught:
        load_project(text, source="p.yaml")
    return str(caught.value)


def test_the_flagship_project_is_valid_and_hides_what_leaks() -> None:
    project = load_project(FLIGHTS.read_text(), source="project.yaml")
    names = {column.name for column in project.feature_columns}
    assert {"carrier", "origin", "dest"} <= names
    assert not names & {"dep_delay", "dep_time", "arr_time", "air_time", "arr_delay", "time_hour", "flight"}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("metric: roc_auc", "metric: roc_acu", "task.metric: 'roc_acu' is not a metric of a binary task; did you mean 'roc_auc'?"),
        ("segments:", "segmets:", "task.segmets: is not a field here; did you mean 'segments'?"),
        ("name: flights\n", "name: Flights!\n", "name: String should match pattern"),
        ("event_time: time_hour", "event_time: time_our", "did you mean 'time_hour'?"),
        ("event_time: time_hour", "event_time: carrier", "it must be datetime"),
        ("type: ml.m5.xlarge", "type: ml.m5.huge", "training.instance_type: SageMaker has no ml.m5.huge for training; did"),
        ("type: ml.m5.large", "type: ml.q9.large", "serving.instance_type: SageMaker has no ml.q9.large for endpoint"),
        ("max_wait_minutes: 120", "max_wait_minutes: 20", "at least max_runtime_minutes"),
        ("  objective:", "  objectiv:", "why.objective: is missing"),
        ("positive: \"> 15\"", "positive: null", "needs the positive value"),
        ("profile: real-time", "profile: serverless", "captures nothing, its server logs predictions"),
        ("candidates: [baseline,", "candidates: [", "must contain 'baseline'"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_its_line_and_a_remedy(old: str, new: str, says: str) -> None:
    text = FLIGHTS.read_text()
    assert old in text
    told = problems(text.replace(old, new, 1))
    assert says in told
    assert told.startswith("p.yaml:")
    assert int(told.split(":")[1]) > 1 or "name" in told


def test_all_problems_are_told_at_once_in_the_order_of_lines() -> None:
    text = (
        FLIGHTS.read_text()
        .replace("metric: roc_auc", "metric: nope")
        .replace("entity_id: [carrier", "entity_id: [carier")
    )
    lines = problems(text).splitlines()
    assert len(lines) == 2
    assert "entity_id" in lines[0]


@pytest.mark.parametrize(
    ("text", "says"), [("", "empty"), ("a: [", "not YAML"), ("- a", "a list"), ("a: 1\na: 2", "twice")]
)
def test_what_is_no_mapping_is_told_so(text: str, says: str) -> None:
    assert says in problems(text)


def test_the_contract_hash_changes_with_the_datas_meaning_only() -> None:
    document = project_document("same", "binary")
    original = load_project(yaml.safe_dump(document), source="p").contract_hash()
    document["budget"]["monthly_usd"] = 99
    assert load_project(yaml.safe_dump(document), source="p").contract_hash() == original
    document["data"]["columns"][3]["max"] = 999
    assert load_project(yaml.safe_dump(document), source="p").contract_hash() != original


@pytest.mark.parametrize(
    ("positive", "value", "expected"),
    [
        ("> 15", 16, True),
        ("> 15", 15, False),
        (">= 15", 15, True),
        ("== 1", 1.0, True),
        ("yes", "yes", True),
        (1, 0, False),
    ],
)
def test_a_label_is_positive_by_value_or_by_comparison(positive: object, value: object, expected: bool) -> None:
    assert is_positive(Label(column="x", positive=positive), value) is expected  # type: ignore[arg-type]


def test_the_published_schema_is_the_models() -> None:
    published = json.loads((FLIGHTS.parents[1] / "project.schema.json").read_text())
    del published["$schema"]
    assert published == Project.model_json_schema()


def test_names_that_differ_by_case_only_and_reserved_names_are_refused() -> None:
    document = project_document("p-x", "binary")
    document["data"]["columns"] += [{"name": "Age", "type": "number"}, {"name": "_line", "type": "integer"}]
    told = problems(yaml.safe_dump(document))
    assert "'Age' is declared twice" in told
    assert "'_line' is reserved" in told


def test_what_names_requests_is_a_text_that_no_model_sees_and_changes_no_prepared_data() -> None:
    document = project_document("p-x", "binary")
    before = load_project(yaml.safe_dump(document), source="p.yaml").contract_hash()
    document["data"]["inference_id"] = "visits"
    told = problems(yaml.safe_dump(document))
    assert "column 'visits' is of type integer; it must be category or text" in told
    assert "give it `role: ignored`" in told
    document["data"]["inference_id"] = "custmer"
    assert "did you mean 'customer'?" in problems(yaml.safe_dump(document))
    document["data"]["inference_id"] = "customer"
    assert load_project(yaml.safe_dump(document), source="p.yaml").contract_hash() == before


def test_an_allowed_value_of_another_type_is_refused() -> None:
    document = project_document("p-x", "binary")
    document["data"]["columns"][3]["allowed"] = ["many"]
    assert "allowed holds 'many', which is no integer" in problems(yaml.safe_dump(document))
