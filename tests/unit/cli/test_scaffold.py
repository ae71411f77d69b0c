"""`passerelle init`: what it writes is a valid project, guessed from the sample."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.main import main
from cli.scaffold import ProjectChoices, project_yaml
from passerelle.domain.project import Project, load_project
from passerelle.errors import InputError


def _project(choices: ProjectChoices) -> Project:
    return load_project(project_yaml(choices), source="project.yaml")


def _sample(folder: Path, text: str) -> Path:
    path = folder / "sample.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_sample_it_is_a_valid_example() -> None:
    project = _project(ProjectChoices(name="churn"))
    assert (project.name, project.task.type, project.data.event_time) == ("churn", "binary", "signed_up_at")


def test_types_gaps_and_the_task_come_from_the_sample(tmp_path: Path) -> None:
    text = "who;when;plan;spend;vip;left\n1;2024-01-01;a;1.5;true;no\n2;2024-01-02T10:00:00;b;;false;yes\n"
    project = _project(ProjectChoices(name="churn", sample=_sample(tmp_path, text)))
    columns = {column.name: column for column in project.data.columns}
    assert {name: column.type for name, column in columns.items()} == {
        "who": "integer", "when": "datetime", "plan": "category", "spend": "number", "vip": "boolean", "left": "category",
    }  # fmt: skip
    assert [name for name, column in columns.items() if column.nullable] == ["spend"]
    assert (project.task.type, project.data.label.column, project.data.event_time) == ("binary", "left", "when")


@pytest.mark.parametrize(("label", "task"), [("kind", "multiclass"), ("price", "regression"), ("sold", "binary")])
def test_the_label_decides_the_task(label: str, task: str, tmp_path: Path) -> None:
    rows = "".join(f"{n},2024-01-{n:02d},{'abc'[n % 3]},{n * 1.5},{n % 2}\n" for n in range(1, 29))
    sample = _sample(tmp_path, "id,day,kind,price,sold\n" + rows)
    assert _project(ProjectChoices(name="houses", sample=sample, label=label)).task.type == task


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("", {}, "cannot be read"),
        ("a,b\n", {}, "no row below the header"),
        ("a,when\n1,2024-01-01\n", {"label": "c"}, "--label c: no such column; the sample has a, when"),
        ("a,b\n1,2\n", {}, "no column of dates"),
    ],
)
def test_a_sample_that_does_not_serve_is_refused(
    text: str, options: dict[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        project_yaml(ProjectChoices(name="churn", sample=_sample(tmp_path, text), **options))


@pytest.mark.parametrize("name", ["Churn", "a", "1st", "with space", "x" * 21])
def test_a_name_that_aws_would_refuse_later_is_refused_now(name: str) -> None:
    with pytest.raises(InputError, match="is not allowed"):
        project_yaml(ProjectChoices(name=name))


def test_an_existing_project_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", "churn", "--directory", str(tmp_path)])
    written = tmp_path / "churn" / "project.yaml"
    written.write_text("mine")
    with pytest.raises(SystemExit) as stop:
        main(["init", "churn", "--directory", str(tmp_path)])
    assert stop.value.code == 3
    assert "exists" in capsys.readouterr().err
    assert written.read_text() == "mine"
