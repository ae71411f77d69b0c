"""The served container answers what it should and refuses the rest with a reason: a real process, real HTTP."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving import CSV_LINE, GOOD_ROW, RunningServer, make_bundle, running_server

TASKS = ("binary", "multiclass", "regression")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningServer]]:
    running = {}
    contexts = []
    for task in TASKS:
        base = tmp_path_factory.mktemp(task)
        make_bundle(task, base / "model", candidate="random_forest")
        context = running_server(base)
        contexts.append(context)
        running[task] = context.__enter__()
    yield running
    for context in contexts:
        context.__exit__(None, None, None)


def ask(server: RunningServer, body: Any, content_type: str = "application/json") -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = server.post(raw, content_type=content_type)
    return answer.status_code, answer.json()


@pytest.mark.parametrize("task", TASKS)
def test_every_form_of_a_row_gives_the_same_answer(servers: dict[str, RunningServer], task: str) -> None:
    names, values = list(GOOD_ROW), list(GOOD_ROW.values())
    forms = [
        {"dataframe_records": [GOOD_ROW]},
        {"dataframe_split": {"columns": names, "data": [values]}},
        {"instances": [GOOD_ROW]},
        {"inputs": {name: [value] for name, value in GOOD_ROW.items()}},
    ]
    answers = [ask(servers[task], form) for form in forms]
    answers.append(ask(servers[task], json.dumps(GOOD_ROW).encode(), "application/jsonlines"))
    assert {status for status, _ in answers} == {200}
    assert len({json.dumps(document["predictions"]) for _, document in answers}) == 1


def test_csv_is_read_with_and_without_its_header(servers: dict[str, RunningServer]) -> None:
    bare = ask(servers["binary"], CSV_LINE.encode(), "text/csv")
    headed = ask(servers["binary"], (",".join(GOOD_ROW) + "\n" + CSV_LINE).encode(), "text/csv; charset=utf-8")
    assert bare[0] == headed[0] == 200
    assert bare[1]["probabilities"] == headed[1]["probabilities"]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "not_json"),
        (b"[" * 100_000, "application/json", 400, None),
        (b"{}", "application/json", 400, "wrong_form"),
        (b'{"instances": []}', "application/json", 400, "no_rows"),
        (b'{"instances": [[1], [1, 2]]}', "application/json", 400, "ragged_row"),
        (b"\xff\xfe", "text/csv", 400, "not_utf8"),
        (b"x", "image/png", 415, "unsupported_content_type"),
        (b" " * 6_291_457, "application/json", 413, "too_large"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_with_a_code(
    servers: dict[str, RunningServer], body: bytes, content_type: str, status: int, code: str | None
) -> None:
    given_status, document = ask(servers["binary"], body, content_type)
    assert given_status == status
    assert code in (None, document["error"]["code"])


@pytest.mark.parametrize("name", [name for name, value in GOOD_ROW.items() if type(value) in (int, float)])
@pytest.mark.parametrize("value", ["12", True, 1e300, [1], {"a": 1}])
def test_a_wrong_value_names_its_field_and_row(servers: dict[str, RunningServer], name: str, value: Any) -> None:
    status, document = ask(servers["binary"], {"dataframe_records": [GOOD_ROW, {**GOOD_ROW, name: value}]})
    assert status == 400
    assert (document["error"]["field"], document["error"]["row"]) == (name, 1)


def test_unknown_columns_are_ignored_with_a_warning_and_unseen_levels_accepted(
    servers: dict[str, RunningServer],
) -> None:
    texts = {name: "never seen" for name, value in GOOD_ROW.items() if isinstance(value, str) and "T" not in value}
    status, document = ask(servers["binary"], {"dataframe_records": [{**GOOD_ROW, **texts, "stray": 1}]})
    assert status == 200
    assert "stray" in document["warnings"][0]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=10),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=12,
)
_FIELD = st.sampled_from(sorted(GOOD_ROW))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(["dataframe_records", "dataframe_split", "instances", "inputs"]), value=_JSON,
       field=_FIELD, wild=_JSON, in_row=st.booleans())  # fmt: skip
def test_no_input_makes_a_server_error(
    servers: dict[str, RunningServer], form: str, value: Any, field: str, wild: Any, in_row: bool
) -> None:
    body = {"dataframe_records": [{**GOOD_ROW, field: wild}]} if in_row else {form: value}
    answer = servers["multiclass"].post(json.dumps(body).encode())
    assert answer.status_code in (200, 400), answer.text


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=300), kind=st.sampled_from(["text/csv", "application/json", "application/jsonlines"]))
def test_no_bytes_make_a_server_error(servers: dict[str, RunningServer], raw: bytes, kind: str) -> None:
    assert servers["regression"].post(raw, content_type=kind).status_code in (200, 400)


@pytest.mark.parametrize("harm", ["altered", "missing", "added"])
def test_a_bundle_that_was_tampered_with_refuses_to_start(tmp_path: Path, harm: str) -> None:
    make_bundle("binary", tmp_path / "model")
    model = tmp_path / "model"
    if harm == "altered":
        (model / "metadata.json").write_text((model / "metadata.json").read_text() + " ")
    elif harm == "missing":
        (model / "profile.json").unlink()
    else:
        shutil.copy(model / "profile.json", model / "extra.pkl")
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(tmp_path), "SAGEMAKER_BIND_TO_PORT": "1"}
    command = [sys.executable, "-m", "training", "serve"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "The model is refused" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_answers_has_imported_nothing_that_fits_models_or_draws_them(tmp_path: Path) -> None:
    make_bundle("binary", tmp_path / "model", candidate="xgboost")
    code = (
        "import sys\nfrom pathlib import Path\nimport training.serve.main, training.serve.app, training.serve.listen\n"
        "from training.bundle import load_bundle\nfrom training.serve.scorer import Scorer\n"
        "Scorer(load_bundle(Path(sys.argv[1]), plan_suffices=True)).prove()\n"
        "dear = ('boto3', 'mlflow', 'matplotlib', 'sklearn', 'scipy', 'pandas', 'pyarrow', 'skops', 'xgboost', 'shap', "
        "'numba', 'optuna', 'onnx')\n"
        "print([name for name in dear if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
