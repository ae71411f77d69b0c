"""`passerelle cost diff` of templates and saved estimates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import main

KEY, ADDRESS = {"Type": "AWS::KMS::Key"}, {"Type": "AWS::EC2::EIP"}


def template(path: Path, **resources: Any) -> str:
    path.write_text(json.dumps({"Resources": resources}))
    return str(path)


@pytest.fixture
def saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    before = template(tmp_path / "app.json", Key=KEY, Gone=ADDRESS)
    main(["--json", "cost", "estimate", before, "--region", "us-east-1"])
    (tmp_path / "saved.json").write_text(capsys.readouterr().out)
    return str(tmp_path / "saved.json")


def test_a_saved_estimate_and_a_template_give_the_same_difference(
    saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new").mkdir()
    after = template(tmp_path / "new" / "app.json", Key=KEY, New=ADDRESS, More=ADDRESS)
    told = []
    for against in (saved, str(tmp_path / "app.json")):
        main(["--json", "cost", "diff", after, "--region", "us-east-1", "--against", against])
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1]
    assert told[0]["change_usd"] == pytest.approx(3.65)
    assert {item["name"]: item["change_usd"] for item in told[0]["resources"]} == pytest.approx(
        {"app/Gone": -3.65, "app/New": 3.65, "app/More": 3.65}
    )


def test_a_comment_for_a_pull_request_is_a_table(
    saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    after = template(tmp_path / "app.json", Key=KEY)
    main(["cost", "diff", after, "--region", "us-east-1", "--against", saved, "--markdown"])
    shown = capsys.readouterr().out
    assert "-3.65 USD a month (-78 %)" in shown
    assert "| `app/Gone` | AWS::EC2::EIP | 3.65 |  | -3.65 |" in shown


def test_no_change_is_said(saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["cost", "diff", str(tmp_path / "app.json"), "--region", "us-east-1", "--against", saved])
    assert "Nothing that has a price changes" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["[]", "{}", '{"projects": [], "totalMonthlyCost": null}', '{"projects": 3}'])
def test_a_file_that_is_no_estimate_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    after = template(tmp_path / "app.json", Key=KEY)
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(SystemExit) as stop:
        main(["cost", "diff", after, "--region", "us-east-1", "--against", str(tmp_path / "other.json")])
    assert stop.value.code == 3
    assert "no estimate" in capsys.readouterr().err


def test_an_environment_that_does_not_exist_is_answered_with_those_that_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    after = template(tmp_path / "app.json", Key=KEY)
    with pytest.raises(SystemExit) as stop:
        main(["cost", "diff", after, "--region", "us-east-1", "--against", "moon"])
    assert stop.value.code == 4
    assert "staging" in capsys.readouterr().err
