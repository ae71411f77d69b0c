"""A weight reaches the parts as a weight, a negative one is a row's fault, and no model sees it."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.projects import as_csv, make_rows
from tests.unit.training.prepared import make_project, parts, quarantined, run_project


def test_a_weight_is_kept_beside_the_features_and_a_negative_one_rejects_its_row(tmp_path: Path) -> None:
    rows = [row | {"w": 1.5 + index % 3} for index, row in enumerate(make_rows(300))]
    rows[4]["w"] = -1
    columns = [column.model_dump(exclude_defaults=True) for column in make_project().data.columns]
    weight = {"name": "w", "type": "number", "min": 0}
    project = make_project(training={"weight_column": "w"}, columns=[*columns, weight])
    result, folders = run_project(tmp_path, {"p-x/a.csv": as_csv(rows)}, project)
    assert result.status == "accepted"
    (bad,) = quarantined(folders)
    assert bad["_line"] == 6
    assert bad["_reasons"] == ["min:w"]
    kept = [row for part in parts(result, folders).values() for row in part]
    assert len(kept) == 299
    assert {row["__weight"] for row in kept} == {1.5, 2.5, 3.5}
    assert "w" not in kept[0]
