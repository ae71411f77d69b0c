"""A real run in a real MLflow: the tree, the recipes of the documentation, and the champion with plain MLflow."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from passerelle.aws.experiment_log import ExperimentLog
from passerelle.contracts.study import Study
from passerelle.domain.candidates.frame import plain_value
from tests.contract.mlflow_story import COMMIT, DATASET, DIGEST, LOCK, RUN, Told, make_story
from tests.laptop_platform import LaptopPlatform, unique
from tests.unit.training.test_train import job
from training.bundle import load_bundle
from training.serve.scorer import Scorer
from training.train.data import read_rows
from training.train.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "mlflow.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def told(platform: LaptopPlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    base = job(tmp_path_factory.mktemp("trained"), "binary", ["baseline", "logistic"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_BASE_DIR", str(base))
        assert main() == 0
        uri, environment = platform.settings.mlflow_url, unique("whole")
        story = make_story(base, environment)
        log = ExperimentLog(uri)
        registered = log.tell(story)
        assert log.tell(story) == registered
        log.promote(story.model_name, registered.version)
        evaluation = story.evaluation.model_copy(update={"status": "refused", "reasons": ("Worse.",)})
        refused = log.tell(replace(story, run_id="r2", evaluation=evaluation))
        yield Told(base, story, registered, refused, MlflowClient(uri, uri), uri)


def test_a_run_is_a_tree_of_parent_candidates_and_trials(told: Told) -> None:
    (parent,) = told.runs("run")
    candidates, trials = ({run.info.run_name: run for run in told.runs(level)} for level in ("candidate", "trial"))
    assert {name: run.info.status for name, run in candidates.items()} == {
        "baseline": "FINISHED", "logistic": "FINISHED", "broken": "FAILED",
    }  # fmt: skip
    assert {run.data.tags["mlflow.parentRunId"] for run in candidates.values()} == {parent.info.run_id}
    assert {name: run.info.status for name, run in trials.items()} == {
        "logistic trial 0": "FINISHED", "logistic trial 1": "KILLED", "logistic trial 2": "FAILED",
    }  # fmt: skip
    assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == {candidates["logistic"].info.run_id}
    best = trials["logistic trial 0"]
    assert (best.data.params, best.data.metrics["validation_roc_auc"]) == ({"C": "0.5"}, 0.9)
    history = told.client.get_metric_history(best.info.run_id, "stage_roc_auc")
    assert [(point.step, point.value) for point in history] == [(1, 0.6), (3, 0.7)]
    study = told.client.download_artifacts(parent.info.run_id, "tuning/study.json")
    assert Study.model_validate_json(Path(study).read_text()) == told.story.study


def test_every_run_and_version_says_what_it_was_made_of(told: Told) -> None:
    made_of = {
        "passerelle.project": "flights", "passerelle.dataset_id": DATASET, "passerelle.git_sha": COMMIT,
        "passerelle.lock_hash": LOCK, "passerelle.image_digest": DIGEST, "passerelle.contract_hash": "c1",
    }  # fmt: skip
    for run in (*told.runs("run"), *told.runs("candidate"), *told.runs("trial")):
        assert run.data.tags.items() >= made_of.items()
        assert run.data.tags["passerelle.environment"] == told.story.environment
    (parent,) = told.runs("run")
    assert (parent.data.tags["passerelle.cost_usd"], parent.data.metrics["cost_usd"]) == ("0.020000", 0.02)
    assert parent.data.tags["passerelle.execution_url"] == "https://console/e"
    note = parent.data.tags["mlflow.note.content"]
    assert "**logistic** passed the gate." in note
    assert "- 0.9 against 0.5 (passed)" in note
    assert f"reproduce {RUN}" in note
    version = told.client.get_model_version(told.story.model_name, told.registered.version)
    assert version.tags.items() >= made_of.items()
    assert version.tags["passerelle.run_url"] == told.registered.run_url
    assert version.description == note


def test_a_suspected_leak_stands_where_people_look_at_the_run_and_at_its_model(told: Told) -> None:
    (parent,) = told.runs("run")
    version = told.client.get_model_version(told.story.model_name, told.registered.version)
    for tags in (parent.data.tags, version.tags):
        assert tags["passerelle.warnings"] == "column 'visits' alone tells 'churned'."
    assert "- **Warning:** column 'visits' alone tells 'churned'. Set role: leakage." in version.description


def test_the_three_parts_of_the_dataset_are_mlflow_datasets(told: Told) -> None:
    (parent,) = told.runs("run")
    inputs = told.client.get_run(parent.info.run_id).inputs.dataset_inputs
    found = {item.tags[0].value: item.dataset for item in inputs}
    assert {context: dataset.name for context, dataset in found.items()} == {
        "training": "flights-train", "validation": "flights-validation", "test": "flights-test",
    }  # fmt: skip
    assert {dataset.digest for dataset in found.values()} == {DATASET}
    assert json.loads(found["test"].source) == {"uri": "s3://curated/flights/datasets/d/test/"}
    assert json.loads(found["test"].profile) == {"num_rows": 75, "start": "2024-01-01T00:00:00Z"}
    names = [column["name"] for column in json.loads(found["test"].schema)["mlflow_colspec"]]
    assert {"plan", "visits", "age"} <= set(names)


def test_what_the_job_used_of_its_machine_are_the_runs_system_metrics(told: Told) -> None:
    (parent,) = told.runs("run")
    usage = told.story.usage
    assert usage is not None
    for name, values in usage.series.items():
        history = told.client.get_metric_history(parent.info.run_id, name)
        assert [point.value for point in history] == pytest.approx(values)
        assert [point.timestamp for point in history] == list(usage.moments)


def test_a_logged_model_has_signature_example_parameters_and_metrics(told: Told) -> None:
    models = {model.name: model for model in told.client.search_logged_models([told.experiment])
              if model.tags.get("mlflow.sourceRunId", model.source_run_id) in {run.info.run_id for run in told.runs("candidate")}}  # fmt: skip
    assert set(models) == {"baseline", "logistic"}
    logistic = models["logistic"]
    assert logistic.params["model"] == "LogisticRegression"
    metrics = {metric.key: metric.value for metric in logistic.metrics}
    assert metrics["test_roc_auc"] == 0.9
    assert metrics["validation_roc_auc"] > 0.6
    stored = {item.path for item in told.client.list_logged_model_artifacts(logistic.model_id)}
    assert stored >= {"MLmodel", "input_example.json", "requirements.txt", "code"}
    assert not [name for name in stored if name.endswith((".pkl", ".pickle"))]


def _block(heading: str) -> str:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found, heading
    return found[1]


def test_every_search_of_the_documentation_finds_something(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    text = _block("Search").replace("http://127.0.0.1:5000", told.uri).replace("flights-laptop", told.story.model_name)
    tree = ast.parse(text.replace('"flights"', f'"flights-{told.story.environment}"'))
    names: dict[str, Any] = {}
    searches = 0
    try:
        for statement in tree.body:
            code = compile(ast.Module([statement], []), "docs/mlflow.md", "exec")
            if not (isinstance(statement, ast.Expr) and "search_" in ast.unparse(statement)):
                exec(code, names)
                continue
            found = eval(compile(ast.Expression(statement.value), "docs/mlflow.md", "eval"), names)
            assert len(found) > 0, ast.unparse(statement)
            searches += 1
    finally:
        mlflow.set_tracking_uri(before)
    assert searches >= 14


#: Runs where Passerelle is not installed, in the words of the documentation.
PLAIN = """
import importlib.util, json, sys
import pandas as pd
sys.path[:] = [path for path in sys.path if path not in ("", {root!r})]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__name__", type(finder).__name__).lower()]
assert importlib.util.find_spec("passerelle") is None, "the test must not see the installed package"
import mlflow
mlflow.set_tracking_uri({uri!r})
mlflow.set_experiment({experiment!r})
name = "models:/{name}@champion"
frame = pd.read_parquet({rows!r})
labels = frame.pop("label")
model = mlflow.pyfunc.load_model(name)
answer = {{"predictions": model.predict(frame).tolist()}}
answer["probabilities"] = mlflow.sklearn.load_model(name).predict_proba(frame).tolist()
answer["needs"] = open(mlflow.pyfunc.get_model_dependencies(name)).read()
answer["example"] = len(model.predict(model.input_example))
frame["label"] = labels
judged = mlflow.models.evaluate(name, frame, targets="label", model_type="classifier", evaluator_config={{"log_explainer": False, "log_model_explainability": False}})
answer["accuracy"] = judged.metrics["accuracy_score"]
print("ANSWER", json.dumps(answer))
"""


def test_the_champion_answers_in_plain_mlflow_as_the_endpoint_does(told: Told, tmp_path: Path) -> None:
    bundle = load_bundle(told.base / "model")
    rows = read_rows(told.base / "input" / "data" / "test", bundle.signature.inputs, "binary")
    rows.frame.assign(label=rows.labels).to_parquet(tmp_path / "rows.parquet")
    script = tmp_path / "plain.py"
    root = str(Path(__file__).parents[2])
    script.write_text(
        PLAIN.format(root=root, uri=told.uri, name=told.story.model_name, rows=str(tmp_path / "rows.parquet"),
                     experiment=unique("plain"))
    )  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH",)}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.split("ANSWER ")[1].splitlines()[0])
    expected = Scorer(bundle).score(
        {name: [plain_value(value) for value in rows.frame[name]] for name in rows.frame.columns}
    )
    assert answer["predictions"] == expected["predictions"]
    assert [share for row in answer["probabilities"] for share in row] == pytest.approx(
        [share for row in expected["probabilities"] for share in row], abs=1e-6
    )
    assert {line.split("==")[0] for line in answer["needs"].split()} >= {"scikit-learn", "skops", "pandas", "numpy"}
    assert answer["example"] == 5
    assert answer["accuracy"] == pytest.approx((rows.labels == expected["predictions"]).mean())


def test_mlflows_own_command_predicts_with_the_champion(told: Told, tmp_path: Path) -> None:
    """`mlflow models predict` in a process that knows the server's address, the model's name, and nothing of us."""
    bundle = load_bundle(told.base / "model")
    rows = read_rows(told.base / "input" / "data" / "test", bundle.signature.inputs, "binary").frame.head(20)
    columns = {name: [plain_value(value) for value in rows[name]] for name in rows.columns}
    without_zone = columns | {"seen_at": [str(moment).removesuffix("Z") for moment in columns["seen_at"]]}
    data = [list(row) for row in zip(*without_zone.values(), strict=True)]
    given, answer = tmp_path / "rows.json", tmp_path / "answer.json"
    given.write_text(json.dumps({"dataframe_split": {"columns": list(columns), "data": data}}))
    command = [sys.executable, "-m", "mlflow", "models", "predict", "--env-manager", "local", "-t", "json"]
    command += ["-m", f"models:/{told.story.model_name}@champion", "-i", str(given), "-o", str(answer)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"MLFLOW_TRACKING_URI": told.uri}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(answer.read_text())["predictions"] == Scorer(bundle).score(columns)["predictions"]


def test_a_refused_run_has_a_version_with_its_reasons_and_no_alias(told: Told) -> None:
    version = told.client.get_model_version(told.story.model_name, told.refused.version)
    assert (version.tags["passerelle.gate"], version.tags["passerelle.reasons"]) == ("refused", "Worse.")
    assert "was refused by the gate" in version.description
    (parent,) = list(told.client.search_runs([told.experiment], "tags.`passerelle.gate` = 'refused'"))
    assert parent.data.tags["passerelle.reasons"] == "Worse."
    assert version.aliases == []
    aliases = told.client.get_registered_model(told.story.model_name).aliases
    assert aliases == {"champion": told.registered.version}
