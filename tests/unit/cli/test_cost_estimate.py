"""`passerelle cost estimate` of template files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import main

TEMPLATE = {
    "Resources": {
        "Key": {"Type": "AWS::KMS::Key"},
        "Bucket": {"Type": "AWS::S3::Bucket"},
        "Role": {"Type": "AWS::IAM::Role"},
        "Odd": {"Type": "AWS::Quantum::Computer"},
        "Server": {"Type": "AWS::SageMaker::MlflowTrackingServer"},
    }
}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "app.template.json"
    path.write_text(json.dumps(TEMPLATE))
    return path


def test_machines_read_infracosts_shape(template: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["cost", "estimate", str(template), "--region", "us-east-1", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (document["version"], document["currency"]) == ("0.2", "USD")
    (project,) = document["projects"]
    by_name = {item["name"]: item for item in project["breakdown"]["resources"]}
    key, request = by_name["app/Key"]["costComponents"]
    assert (key["monthlyCost"], key["price"], key["unit"], key["priceNotFound"]) == ("1", "1", "key-month", False)
    assert request["usageBased"] is True
    (server,) = by_name["app/Server"]["costComponents"]
    assert (server["price"], server["monthlyCost"], server["priceNotFound"]) == (None, None, True)
    summary = document["summary"]
    assert (summary["totalDetectedResources"], summary["totalUnsupportedResources"]) == (5, 1)
    assert summary["noPriceResourceCounts"] == {"AWS::IAM::Role": 1}
    parts = [part for item in by_name.values() for part in item["costComponents"]]
    assert float(document["totalMonthlyCost"]) == pytest.approx(sum(float(part["monthlyCost"] or 0) for part in parts))


def test_people_read_a_floor_with_dates_assumptions_and_what_is_unpriced(
    template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["cost", "estimate", str(template), "--region", "us-east-1"])
    shown = capsys.readouterr().out
    for words in ("at least", "Unpriced:", "managed MLflow", "Not supported: AWS::Quantum::Computer (1)", "Assumed",
                  "Prices of 2026-", "not an offer"):  # fmt: skip
        assert words in shown, words


def test_a_usage_file_and_the_free_tier_change_the_sum(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = tmp_path / "usage.yaml"
    usage.write_text("version: 0.1\nresource_usage:\n  app/Key: {monthly_requests: 120000}\n")
    totals = []
    for more in ([], ["--free-tier"]):
        main(["--json", "cost", "estimate", str(template), "--region", "us-east-1", "--usage", str(usage), *more])
        totals.append(float(json.loads(capsys.readouterr().out)["totalMonthlyCost"]))
    assert totals[0] - totals[1] == pytest.approx(0.06)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--region"),
        (["--region", "us-east-1", "--parameter", "A"], "NAME=VALUE"),
        (["--region", "us-east-1", "--usage", "absent.yaml"], "absent.yaml"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(
    options: list[str], words: str, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["cost", "estimate", str(template), *options])
    assert stop.value.code == 3
    assert words in capsys.readouterr().err


def test_a_nested_template_beside_its_parent_is_read_and_one_outside_is_not(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "child.json").write_text(json.dumps(TEMPLATE))
    nested = {name: {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}
              for name, url in (("Good", "child.json"), ("Bad", "../app.template.json"))}  # fmt: skip
    (inside / "parent.json").write_text(json.dumps({"Resources": nested}))
    main(["--json", "cost", "estimate", str(inside / "parent.json"), "--region", "us-east-1"])
    told = json.loads(capsys.readouterr().out)
    names = {item["name"] for item in told["projects"][0]["breakdown"]["resources"]}
    assert "parent/Good/Key" in names
    assert any("parent/Bad" in problem for problem in told["passerelle"]["problems"])


def test_an_estimate_loads_neither_pandas_nor_boto3(template: Path) -> None:
    code = (
        f"import sys\nfrom cli.main import main\nmain(['--json', 'cost', 'estimate', {str(template)!r}, '--region', 'us-east-1'])\n"
        "print([name for name in ('boto3', 'pandas', 'numpy', 'mlflow', 'laptop') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
