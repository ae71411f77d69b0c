"""`passerelle check`: project.yaml and features.py are checked here, and shown on sample rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from cli.main import main
from tests.e2e.projects import as_csv, make_rows, project_document

SOURCE = "def features(rows):\n    return {'per_visit': rows.age / rows.visits}\n"


def project(folder: Path, source: str = SOURCE) -> Path:
    document = project_document("p-x", "binary")
    document["data"]["features"] = {"columns": [{"name": "per_visit", "type": "number"}]}
    (folder / "p-x").mkdir()
    (folder / "p-x" / "project.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    (folder / "p-x" / "features.py").write_text(source, encoding="utf-8")
    return folder


def check(folder: Path, *more: str) -> None:
    main(["--json", "check", "p-x", "--directory", str(folder), *more])


def test_it_shows_each_feature_on_the_rows_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row | {"visits": 0 if place == 3 else 10, "age": 20 + place} for place, row in enumerate(make_rows(5))]
    (tmp_path / "rows.csv").write_bytes(as_csv(rows))
    check(project(tmp_path), "--rows", str(tmp_path / "rows.csv"))
    (feature,) = json.loads(capsys.readouterr().out)["features"]
    assert feature["reads"] == ["visits", "age"]
    assert (feature["rows"], feature["known"], feature["examples"]) == (5, 4, [2.0, 2.1, 2.2])
    main(["check", "p-x", "--directory", str(tmp_path), "--rows", str(tmp_path / "rows.csv")])
    assert "4 of 5 rows have it: 2.0, 2.1, 2.2" in capsys.readouterr().out


def test_what_is_wrong_is_an_input_error_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        check(project(tmp_path, SOURCE.replace("rows.age", "rows.age.mean()")))
    assert ended.value.code == 3
    with pytest.raises(SystemExit):
        check(tmp_path / "nowhere")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        check(tmp_path, "--rows", str(tmp_path / "rows.csv"))
