"""`make check`: each check finds what it is for, and says so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack, Validations, aws_s3
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

from checks import __main__ as checks
from checks import nag, state_machines
from checks.outcome import CheckError, Outcome
from infra.checks import acknowledgements
from infra.checks_nist import nist_acknowledgements
from infra.config import load_config
from infra.nag import RECORD, RecordedPack
from tests.infra.conftest import ENVIRONMENTS, ROOT

Synthesised = Callable[[str], Path]
MACHINES = sorted((ROOT / "infra" / "state_machines").glob("*.asl.json"))


def _synthesise(output: Path, reasons: dict[str, str]) -> Any:
    app = App(outdir=str(output), analytics_reporting=False)
    aws_s3.Bucket(Stack(app, "Stack"), "Bucket")
    Validations.of(app).add_plugins(
        RecordedPack("AwsSolutions", AwsSolutionsChecks(app), reasons, output),
        RecordedPack("NIST.800.53.R5", NIST80053R5Checks(app), reasons, output),
    )
    app.synth()


def test_a_finding_of_either_pack_fails_the_synthesis_unless_it_is_acknowledged(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"AwsSolutions-S10[\s\S]*NIST\.800\.53\.R5-S3BucketVersioningEnabled"):
        _synthesise(tmp_path / "bare", {})
    record = json.loads((tmp_path / "bare" / RECORD).read_text())
    assert "AwsSolutions-S10" in record["AwsSolutions"]["found"]
    assert "NIST.800.53.R5-S3BucketVersioningEnabled" in record["NIST.800.53.R5"]["found"]
    reasons = {rule: "said" for pack in record.values() for rule in pack["found"]}
    _synthesise(tmp_path / "acknowledged", reasons)
    report = json.loads((tmp_path / "bare" / "validation-report.json").read_text())
    assert {item["pluginName"] for item in report["pluginReports"]} == {"AwsSolutions", "NIST.800.53.R5"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_acknowledgement_has_a_reason_and_a_link(environment: str) -> None:
    config = load_config(environment)
    for item in (*acknowledgements(config), *nist_acknowledgements(config)):
        assert re.search(r"\w[\w ,':.]{20,}.* https://\S+$", item.reason), f"{item.id}: {item.reason}"


def test_each_acknowledgement_is_needed_in_its_environment(synthesised: Synthesised) -> None:
    outcome = nag.check_nag(synthesised)
    assert outcome.problems == ()
    assert "findings, each acknowledged" in outcome.looked_at


GOOD = {pack: {"found": {f"{pack}-1": ["a"]}, "acknowledged": {f"{pack}-1": "why https://x"}} for pack in nag.PACKS}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda record: record.pop("AwsSolutions"), "dev: AwsSolutions found nothing at all, so it did not run"),
        (
            lambda record: record["AwsSolutions"]["acknowledged"].update({"AwsSolutions-2": "w https://x"}),
            "dev: nothing needs the acknowledgement of AwsSolutions-2",
        ),
        (
            lambda record: record["AwsSolutions"]["found"].update({"AwsSolutions-3": ["b"]}),
            "dev: AwsSolutions-3 is not acknowledged",
        ),
        (
            lambda record: record["AwsSolutions"]["acknowledged"].update({"AwsSolutions-1": "because"}),
            "dev: AwsSolutions-1 is acknowledged without a link: because",
        ),
    ],
)
def test_a_pack_that_did_not_run_and_an_acknowledgement_in_vain_are_seen(
    change: Callable[[Any], Any], words: str
) -> None:
    record = json.loads(json.dumps(GOOD))
    assert list(nag.faults("dev", record)) == []
    change(record)
    assert list(nag.faults("dev", record)) == [words]


def test_state_machines_as_deployed_are_valid(synthesised: Synthesised) -> None:
    outcome = state_machines.check_state_machines(synthesised)
    assert outcome.problems == ()
    deployed = [
        name for environment in ENVIRONMENTS for name, _ in state_machines.definitions(synthesised(environment))
    ]
    assert int(outcome.looked_at.split()[0]) == len(deployed) >= 2 * len(ENVIRONMENTS)
    assert len(set(deployed)) == len(MACHINES), "each is deployed somewhere"


@pytest.mark.parametrize(
    ("search", "replace", "words"),
    [
        ('"Default": "DeploymentRefused"', '"Default": "Nowhere"', "Nowhere"),
        ('"QueryLanguage"', '"QueryLang"', "additional properties"),
        ("$states.input %}", "$states.input) %}", "is invalid"),
        ('"Type": "Choice"', '"Type": "Chose"', "is invalid"),
        ('"ErrorEquals"', '"ErrorEqual"', "is invalid"),
    ],
)
def test_what_step_functions_would_refuse_is_seen(tmp_path: Path, search: str, replace: str, words: str) -> None:
    (source,) = [path for path in MACHINES if path.name == "deploy_model.asl.json"]
    text = re.sub(r"\$\{\w+\}", "1", source.read_text().replace('"${PollSeconds}"', "1").replace("${PollSeconds}", "1"))
    whole, broken = tmp_path / "whole.asl.json", tmp_path / "broken.asl.json"
    whole.write_text(text)
    broken.write_text(text.replace(search, replace))
    assert search in text
    found = "\n".join(state_machines.validate({whole: text, broken: ""}))
    assert words in found
    assert "whole.asl.json" not in found


@pytest.mark.parametrize(
    ("expression", "unknown"),
    [
        ("$contains($states.input.a, 'b')", []),
        ("$contans($states.input.a, 'b')", ["contans"]),
        ("$state.input", ["state"]),
        ("($a := 1; $map([1], function($v) { $v + $a + $kept }))", []),
        ("$map([1], function($v) { $w })", ["w"]),
        ("$eval('1')", ["eval"]),
        ("$uuid() & $$.a", []),
    ],
)
def test_a_name_that_nobody_gives_is_found_before_the_state_runs(expression: str, unknown: list[str]) -> None:
    machine = {"States": {"A": {"Assign": {"kept": 1}, "Output": f"{{% {expression} %}}"}}}
    assert [line.split()[0] for line in state_machines.unknown_names(machine)] == [f"${name}" for name in unknown]


def test_cfn_lint_fails_on_an_error_and_on_a_warning(tmp_path: Path) -> None:
    def found(properties: dict[str, Any], **more: Any) -> Callable[[str], Path]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        bucket = {"Type": "AWS::S3::Bucket", "Properties": properties, **more}
        template = {"Resources": {"Bucket": bucket, "Other": {"Type": "AWS::SNS::Topic"}}}
        (folder / "a.template.json").write_text(json.dumps(template))
        return lambda _: folder

    assert checks.check_templates(found({})).problems == ()
    assert "E3002" in str(checks.check_templates(found({"BucketNam": "a"})).problems)
    assert "W1" in str(checks.check_templates(found({"BucketName": {"Fn::Sub": "constant"}})).problems)


def test_checks_print_one_line_each_and_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> Outcome:
        raise CheckError("the tool is gone")

    made = [
        checks.Check("good", lambda: Outcome("3 files")),
        checks.Check("bad", lambda: Outcome("2 files", ("a.py is wrong",), "Repair a.py.")),
        checks.Check("broken", broken),
    ]
    assert checks.run_checks(made) is False
    printed = capsys.readouterr().out
    assert re.search(r"/3  good +ok +\d+\.\d s  3 files\n", printed)
    assert re.search(r"/3  bad +FAILED .*\n +a\.py is wrong\n +Remedy: Repair a\.py\.\n", printed)
    assert "the tool is gone" in printed
    assert printed.rstrip().splitlines()[-1].startswith("Not passed: ")
    assert checks.run_checks(made[:1]) is True


def test_what_reads_templates_is_not_run_where_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[str] = []

    def fails() -> Outcome:
        raise CheckError("prod is not synthesised")

    def reads() -> Outcome:
        ran.append("read")
        return Outcome("templates")

    made = [checks.Check("lint", reads, of_assemblies=True), checks.Check("synth-prod", fails)]
    assert checks.run_checks(made) is False
    assert ran == []
    assert "Not passed: synth-prod" in capsys.readouterr().out


def test_a_check_that_does_not_exist_is_refused_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        checks.main(["spelling"])
    assert "there is no check 'spelling'; there are mypy, synth-laptop" in capsys.readouterr().err
