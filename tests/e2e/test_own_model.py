"""A project with a model.py of its own is trained, judged, served and explained as every other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.platform import DeployedLaptop
from tests.e2e.projects import as_csv, make_rows

PROJECT = "own-model"
ROW = {name: value for name, value in make_rows(1, seed=5)[0].items() if name in ("plan", "visits", "age", "seen_at")}


@pytest.fixture(scope="module")
def run(laptop: DeployedLaptop) -> dict[str, Any]:
    version = laptop.drop(f"{PROJECT}/a.csv", as_csv(make_rows(400)))
    return laptop.run_of(PROJECT, f"{PROJECT}/a.csv", version)


def test_its_endpoint_predicts_and_explains_with_the_projects_code(laptop: DeployedLaptop, run: dict[str, Any]) -> None:
    assert (run["status"], run["chosen"]) == ("succeeded", "own"), run["error"]
    rare, frequent = {**ROW, "visits": 0}, {**ROW, "visits": 40}
    answer = laptop.predict(PROJECT, [rare, frequent], explain=True)
    assert answer["explained_by"] == {"method": "kernel", "space": "probability"}
    for shares, why in zip(answer["probabilities"], answer["explanations"], strict=True):
        assert why["base"] + sum(why["contributions"].values()) == pytest.approx(why["total"])
        assert why["total"] == pytest.approx(shares[1])
        assert why["contributions"]["age"] == pytest.approx(0, abs=1e-9), "the model does not read it"
    visits = [why["contributions"]["visits"] for why in answer["explanations"]]
    assert visits[0] > 0.1 > -0.1 > visits[1]


def test_mlflow_has_its_figures_and_its_explanations_with_lime(laptop: DeployedLaptop, run: dict[str, Any]) -> None:
    assert run["status"] == "succeeded", run["error"]
    figures = laptop.mlflow_artefacts(run, "evaluation/figures")
    assert {"evaluation/figures/shap_importance.png", "evaluation/figures/roc.png"} <= figures
    told = run["mlflow_url"].rsplit("/", 1)[-1]
    document = json.loads(laptop.mlflow("get-artifact", run_uuid=told, path="evaluation/explanations.json"))
    assert document["shapley"]["method"] == "kernel"
    for example in document["examples"]:
        weights = example["lime"]["weights"]
        assert max(weights, key=lambda name: abs(weights[name])) in ("visits", "plan")
        assert -1 <= example["lime"]["fit"] <= 1
