"""A caller that asks for it hears what each column did to the answer; everybody else's answer stays as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serving import CSV_LINE, GOOD_ROW, NAMES, ROOT, RunningServer, make_bundle, running_server
from training.serve.explain import MAX_EXPLAINED_ROWS

ATTRIBUTES = {"X-Amzn-SageMaker-Custom-Attributes": "trace=1, explain=true"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    base = tmp_path_factory.mktemp("ml")
    make_bundle("binary", base / "model", params={"n_estimators": 20})
    with running_server(base) as running:
        yield running


def records(count: int) -> dict[str, Any]:
    return {"dataframe_records": [GOOD_ROW] * count}


def test_contributions_by_column_add_up_to_the_log_odds_of_the_probability(server: RunningServer) -> None:
    answer = server.post(records(2) | {"explain": True}).json()
    assert answer["explained_by"] == {"method": "trees", "space": "log-odds"}
    assert len(answer["explanations"]) == 2
    for row, shares in zip(answer["explanations"], answer["probabilities"], strict=True):
        assert list(row["contributions"]) == NAMES
        assert row["base"] + sum(row["contributions"].values()) == pytest.approx(row["total"])
        assert row["total"] == pytest.approx(np.log(shares[1] / shares[0]), abs=1e-4)
        assert row["output"] == "1"


def test_the_header_of_invoke_endpoint_asks_for_it_with_any_form_of_rows(server: RunningServer) -> None:
    asked = server.post(f"{CSV_LINE}\n".encode(), content_type="text/csv", **ATTRIBUTES).json()
    assert asked["explanations"] == server.post(records(1) | {"explain": True}).json()["explanations"]


@pytest.mark.parametrize("body", [records(1), records(1) | {"explain": False}])
def test_nobody_else_hears_of_it(server: RunningServer, body: dict[str, Any]) -> None:
    assert not {"explanations", "explained_by"} & server.post(body).json().keys()


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (records(MAX_EXPLAINED_ROWS + 1) | {"explain": True}, {}, 400, "too_many_to_explain"),
        (records(1) | {"explain": "yes"}, {}, 400, "wrong_form"),
        (records(1) | {"explain": True}, {"Accept": "text/csv"}, 406, "not_acceptable"),
    ],
)
def test_what_cannot_be_explained_is_refused_with_the_remedy(
    server: RunningServer, body: dict[str, Any], headers: dict[str, str], status: int, code: str
) -> None:
    answer = server.post(body, **headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["remedy"]


def test_as_many_rows_as_are_allowed_are_explained(server: RunningServer) -> None:
    assert len(server.post(records(MAX_EXPLAINED_ROWS) | {"explain": True}).json()["explanations"]) == 50


def test_a_class_is_explained_when_it_is_the_predicted_one(tmp_path: Path) -> None:
    make_bundle("multiclass", tmp_path / "model", candidate="logistic")
    with running_server(tmp_path) as running:
        answer = running.post(records(1) | {"explain": True}).json()
    (row,) = answer["explanations"]
    assert row["output"] == answer["predictions"][0]
    assert answer["explained_by"] == {"method": "linear", "space": "score"}


def test_explaining_imports_neither_the_libraries_of_training_nor_shap(tmp_path: Path) -> None:
    make_bundle("binary", tmp_path / "model", params={"n_estimators": 5})
    columns = {name: [value] for name, value in GOOD_ROW.items()}
    code = (
        "import json, sys; from pathlib import Path; from training.bundle import load_bundle\n"
        "from training.serve.app import Application; from training.serve.explain import RowExplainer\n"
        f"bundle = load_bundle(Path({str(tmp_path / 'model')!r}), plan_suffices=True)\n"
        f"assert RowExplainer(bundle).explain({columns!r}, [0])['explained_by']['method'] == 'trees'\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert "numpy" in loaded
    assert not {"shap", "numba", "lime", "xgboost", "skops", "sklearn", "pandas"} & loaded
