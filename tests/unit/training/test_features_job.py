"""A project with features.py from the dropped file to the served answer: what the dataset holds is what a server asks with."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from passerelle.domain.dataset.schema import READ
from passerelle.domain.features.source import compile_features
from passerelle.domain.project import Project, load_project
from passerelle.errors import ProjectError
from tests.e2e.projects import as_csv, make_rows, project_document
from tests.serving import running_server
from tests.unit.training.prepared import parts, run_project
from tests.unit.training.test_evaluate import evaluate, evaluation
from training.bundle import load_bundle
from training.evaluate.champion import ask_champion
from training.evaluate.main import read_inputs
from training.project_archive import read_features
from training.train.derived import FeatureSkewError, need_same_features
from training.train.main import main, make_context

SOURCE = b"""
def features(rows):
    return {
        "load": rows.visits / (rows.age - 40),
        "plan_hour": rows.plan + "-" + rows.seen_at.hour().cast("string"),
        "even": rows.customer.right(1).cast("int64") % 2 == 0,
        "nothing": rows.plan.try_cast("int64"),
    }
"""
COLUMNS = [
    {"name": "load", "type": "number"},
    {"name": "plan_hour", "type": "category"},
    {"name": "even", "type": "boolean"},
    {"name": "nothing", "type": "integer"},
]


def document(**training: Any) -> dict[str, Any]:
    found = project_document("p-x", "binary")
    found["data"]["features"] = {"columns": COLUMNS}
    found["training"] |= {
        "candidates": ["baseline", "hist_gradient_boosting"],
        "reduce_features": False,
        "time_features": [],
    }
    found["training"] |= training
    return found


def project_of(found: dict[str, Any]) -> Project:
    return load_project(yaml.safe_dump(found), source="p")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare a drop, and lay out its training job."""
    tmp_path = tmp_path_factory.mktemp("job")
    project = project_of(document())
    result, folders = run_project(tmp_path, {"p-x/a.csv": as_csv(make_rows(400))}, project, features=SOURCE)
    assert result.status == "accepted", result.problems
    base = tmp_path / "ml"
    data = base / "input" / "data"
    data.mkdir(parents=True)
    (base / "result.json").write_text(result.model_dump_json())
    for part in ("train", "validation", "test"):
        (folders.curated / "datasets" / str(result.dataset_id) / part).rename(data / part)
    (data / "project").mkdir()
    with zipfile.ZipFile(data / "project" / "p.zip", "w") as archive:
        archive.writestr("project.yaml", yaml.safe_dump(document()))
        archive.writestr("features.py", SOURCE)
    parameters = {"run_id": "r", "dataset_id": "d", "contract_hash": result.contract_hash, "seed": "7"}
    (base / "input" / "config").mkdir()
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(parameters))
    return base


@pytest.fixture(scope="module")
def trained(job: Path) -> Path:
    """Train that job's model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_BASE_DIR", str(job))
        assert main() == 0
    return job


# The dataset


def test_the_dataset_has_the_features_typed_and_what_only_they_read_under_names_of_its_own(job: Path) -> None:
    table = pq.read_table(job / "input" / "data" / "train")
    assert {name: str(table.schema.field(name).type) for name in ("load", "plan_hour", "even")} == {
        "load": "double", "plan_hour": "string", "even": "bool",
    }  # fmt: skip
    assert [name for name in table.column_names if name.startswith(READ)] == [f"{READ}seen_at", f"{READ}customer"]
    for row in table.slice(0, 50).to_pylist():
        assert row["even"] == (int(row[f"{READ}customer"][-1]) % 2 == 0)
        assert row["plan_hour"] == f"{row['plan']}-{row['__event_time'].hour}"


def test_a_feature_without_a_value_is_left_out_and_named_with_its_remedy(job: Path) -> None:
    result = json.loads((job / "result.json").read_text())
    assert result["dropped_columns"] == {"nothing": "empty in every row"}
    (problem,) = [item for item in result["problems"] if item["code"] == "empty_feature"]
    assert (problem["severity"], problem["column"], problem["file"]) == ("warning", "nothing", "features.py")
    assert "Correct its expression in features.py" in problem["remedy"]


def test_another_file_is_another_contract_and_another_dataset(tmp_path: Path) -> None:
    files, project = {"p-x/a.csv": as_csv(make_rows(200))}, project_of(document())
    first, _ = run_project(tmp_path, files, project, features=SOURCE)
    other, folders = run_project(tmp_path, files, project, features=SOURCE.replace(b"- 40", b"- 41"))
    assert first.contract_hash == project.contract_hash(hashlib.sha256(SOURCE).hexdigest()) != other.contract_hash
    assert first.dataset_id != other.dataset_id
    assert {row["load"] for row in parts(other, folders)["train"]} - {None}


def test_a_wrong_file_ends_the_preparation_before_any_row_is_read(tmp_path: Path) -> None:
    source = b"def features(rows):\n    return dict(load=rows.age.mean(), plan_hour=rows.plan, even=rows.age > 1)"
    with pytest.raises(ProjectError, match=r"features\.py:2: feature 'load' uses Mean, which aggregates rows"):
        run_project(tmp_path, {"p-x/a.csv": b"not even a file"}, project_of(document()), features=source)


# Training and serving


def test_the_model_sees_the_features_and_a_caller_sends_what_they_are_made_of(trained: Path) -> None:
    bundle = load_bundle(trained / "model")
    assert [column.name for column in bundle.signature.model_inputs] == [
        "plan",
        "visits",
        "age",
        "load",
        "plan_hour",
        "even",
    ]
    assert {column.name for column in bundle.signature.inputs} == {"plan", "visits", "age", "customer", "seen_at"}
    assert set(bundle.example["dataframe_split"]["columns"]) == {column.name for column in bundle.signature.inputs}
    assert {"load", "plan_hour", "even", "customer", "seen_at"} <= bundle.profile["layout"]["columns"].keys()
    assert bundle.plan is not None
    manifest = json.loads((trained / "model" / "manifest.json").read_text())
    assert manifest["files"]["features.py"] == hashlib.sha256(SOURCE).hexdigest()


def test_the_real_server_answers_raw_rows_as_the_model_answers_the_dataset_and_never_imports_ibis(
    trained: Path,
) -> None:
    bundle = load_bundle(trained / "model")
    sent, wanted = holdout(trained, bundle)
    with running_server(trained, python=("-X", "importtime")) as server:
        answer = server.post({"dataframe_records": sent}).json()
        np.testing.assert_allclose(np.asarray(answer["probabilities"]), wanted, rtol=0, atol=1e-6)
        one = server.post({"dataframe_records": sent[:1], "explain": True}).json()
        assert one["probabilities"] == answer["probabilities"][:1]
        assert set(one["explanations"][0]["contributions"]) == {"plan", "visits", "age", "load", "plan_hour", "even"}
        missing = server.post({"dataframe_records": [{"plan": "free", "visits": 1}]})
        assert missing.status_code == httpx.codes.BAD_REQUEST
        assert "'seen_at' is missing; so are 'customer'" in missing.json()["error"]["message"]
        row = server.client.get("/openapi.json").json()["components"]["schemas"]["Row"]
        assert set(row["properties"]) == {"plan", "visits", "age", "customer", "seen_at"}
    imported = {line.rsplit("|", 1)[-1].strip() for line in server.lines if line.startswith("import time:")}
    assert "duckdb" in imported
    assert not imported & {"ibis", "sqlglot", "sklearn", "skops"}


def holdout(base: Path, bundle: Any) -> tuple[list[dict[str, Any]], Any]:
    """Return test rows as a caller sends them, and what the pipeline says of the dataset's."""
    table = pq.read_table(base / "input" / "data" / "test")
    rows = []
    for row in table.to_pylist():
        sent = {
            name.removeprefix(READ): value
            for name, value in row.items()
            if name.startswith(READ) or name in ("plan", "visits", "age")
        }
        rows.append(sent | {"seen_at": sent["seen_at"].isoformat() + "Z"})
    inputs = read_inputs_frame(base, bundle)
    return rows, bundle.pipeline.predict_proba(inputs)


def read_inputs_frame(base: Path, bundle: Any) -> Any:
    from training.train.data import read_rows

    return read_rows(base / "input" / "data" / "test", bundle.signature.model_inputs, "binary").frame


def test_a_dataset_of_another_features_py_fails_the_training_with_feature_row_and_both_values(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "ml" / "input" / "data"
    data.mkdir(parents=True)
    for part in ("train", "project"):
        (data / part).symlink_to(job / "input" / "data" / part)
    (data / "validation").mkdir()
    table = pq.read_table(job / "input" / "data" / "validation")
    values = table["load"].to_pylist()
    place = next(place for place, value in enumerate(values) if place > 3 and value)
    changed = pa.array([*values[:place], math.nextafter(values[place], math.inf), *values[place + 1 :]])
    pq.write_table(
        table.set_column(table.column_names.index("load"), "load", changed), data / "validation" / "p.parquet"
    )
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path / "ml"))
    parameters = json.loads((job / "input" / "config" / "hyperparameters.json").read_text())
    with pytest.raises(FeatureSkewError) as caught:
        make_context(parameters, project_of(document()))
    message = str(caught.value)
    assert f"Feature 'load' of row {place} of the holdout is {changed[place].as_py()!r} in the dataset and" in message
    assert f"and {values[place]!r} as a server derives it (1 rows differ)" in message


def test_the_champion_is_asked_with_its_own_features_not_with_todays_of_the_same_name(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = evaluation(trained, tmp_path / "evaluate")
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(layout))
    inputs = read_inputs(tmp_path)
    need_same_features(inputs.challenger.signature, inputs.test)
    answers = ask_champion(replace(inputs, champion=inputs.challenger), challenger_answers(inputs))[0]
    # Today's features.py calls something else `load` and `even`: the champion must not see that.
    wrong = inputs.test.frame.assign(load=0.0, even=1.0)
    again = ask_champion(
        replace(inputs, champion=inputs.challenger, test=replace(inputs.test, frame=wrong)), challenger_answers(inputs)
    )[0]
    assert answers is not None
    assert again is not None
    np.testing.assert_array_equal(again.probabilities, answers.probabilities)
    np.testing.assert_array_equal(answers.probabilities, challenger_answers(inputs).probabilities)


def challenger_answers(inputs: Any) -> Any:
    from training.train.predict import predict

    seen = [column.name for column in inputs.challenger.signature.model_inputs]
    return predict(inputs.challenger.pipeline, inputs.test.frame[seen], "binary")


def test_evaluation_judges_and_explains_by_the_features(trained: Path, tmp_path: Path) -> None:
    verdict, _ = evaluate(evaluation(trained, tmp_path / "evaluate"))
    assert verdict.candidate == "hist_gradient_boosting"


def test_the_archive_must_hold_the_file_that_the_project_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("project.yaml", yaml.safe_dump(document()))
    project = project_of(document())
    with pytest.raises(Exception, match=r"data\.features\.file is features\.py, and there is no such file"):
        read_features(tmp_path, project)
    assert compile_features(SOURCE, project)[1].name == "plan_hour"
