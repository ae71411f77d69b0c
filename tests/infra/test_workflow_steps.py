"""What the steps of GitHub's workflows do: their shell is taken from the files and run here, as GitHub runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.config import load_config
from tests.infra.conftest import ROOT
from tests.infra.workflows import DEPLOYED, script_of

pytestmark = pytest.mark.xdist_group("infra")
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Return a function that runs a step as GitHub does: in bash, ended by the first failure, also before a pipe."""

    def run(script: str, **environ: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        files = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        environment = {"HOME": str(tmp_path), "PATH": path, **files, **environ}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run


def _command(folder: Path, name: str, script: str) -> None:
    (folder / "bin").mkdir(exist_ok=True)
    path = folder / "bin" / name
    path.write_text(f"#!{sys.executable}\nimport json, os, pathlib, sys\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("workflow", ["deploy-environment.yml", "diff.yml"])
@pytest.mark.parametrize("environment", DEPLOYED)
def test_account_and_region_come_from_the_assembly_itself(
    shell: Shell, synthesised: Callable[[str], Path], tmp_path: Path, workflow: str, environment: str
) -> None:
    (tmp_path / "assembly").symlink_to(synthesised(environment))
    subprocess.run(["tar", "-chzf", "assembly.tar.gz", "assembly/manifest.json"], cwd=tmp_path, check=True)
    (tmp_path / "assembly").unlink()
    done = shell(script_of(workflow, "Read the account and the region from the assembly"))
    assert done.returncode == 0, done.stderr
    config = load_config(environment)
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == f"account={config.account}\nregion={config.region}\n"


def test_an_assembly_of_two_accounts_is_deployed_nowhere(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "assembly").mkdir()
    places = {str(number): {"environment": f"aws://{number * 12}/us-east-1"} for number in (1, 2)}
    (tmp_path / "assembly" / "manifest.json").write_text(json.dumps({"artifacts": places}))
    subprocess.run(["tar", "-czf", "assembly.tar.gz", "assembly"], cwd=tmp_path, check=True)
    done = shell(script_of("deploy-environment.yml", "Read the account and the region from the assembly"))
    assert done.returncode != 0
    assert "not one place" in done.stderr


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("changed", "alone"),
    [
        (["projects/flights/project.yaml"], "true"),
        (["projects/flights/project.yaml", "infra/platform.py"], "false"),
        (["projects/flights/project.yaml", "environments/dev.yaml"], "false"),
    ],
)
def test_only_the_projects_stack_is_deployed_when_only_projects_changed(
    shell: Shell, tmp_path: Path, changed: list[str], alone: str
) -> None:
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "commit", "-q", "--allow-empty", "-m", "before")
    before = _git(tmp_path, "rev-parse", "HEAD")
    for name in changed:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("changed")
        _git(tmp_path, "add", name)
    _git(tmp_path, "commit", "-q", "-m", "after")
    script = script_of("projects.yml", "Is anything else changed?")
    assert shell(script, BEFORE=before).returncode == 0
    assert shell(script, BEFORE="0" * 40).returncode == 0
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == f"alone={alone}\nalone=false\n"


#: A `passerelle` that answers as told, and writes down what it was asked.
FAKE = """
arguments = sys.argv[1:]
with open("asked", "a") as file: file.write(" ".join(arguments) + chr(10))
command = arguments[3]
if command == "status": print(json.dumps({"projects": [{"project": "flights", "endpoint_status": os.environ["STATE"]}]}))
if command == "drop":
    if os.environ["RUN"]: print(json.dumps({"runs": [{"status": os.environ["RUN"]}]}))
    sys.exit(int(os.environ["CODE"]))
if command == "predict": print(json.dumps({"predictions": [0] * int(os.environ.get("ANSWERS", "5"))}))
"""


@pytest.mark.parametrize(
    ("smoke", "told", "passes", "asked"),
    [
        ("drop", {"RUN": "succeeded", "CODE": "0", "STATE": "InService"}, True, ["drop", "status", "predict"]),
        ("drop", {"RUN": "refused", "CODE": "6", "STATE": "InService"}, True, ["drop", "status", "predict"]),
        ("drop", {"RUN": "duplicate", "CODE": "6", "STATE": "InService"}, False, ["drop"]),
        ("drop", {"RUN": "failed", "CODE": "6", "STATE": "InService"}, False, ["drop"]),
        ("drop", {"RUN": "", "CODE": "5", "STATE": "InService"}, False, ["drop"]),
        ("drop", {"RUN": "refused", "CODE": "6", "STATE": "not deployed"}, True, ["drop", "status", "predict"]),
        ("predict", {"STATE": "InService"}, True, ["status", "predict"]),
        ("predict", {"STATE": "InService", "ANSWERS": "4"}, False, ["status", "predict"]),
        ("predict", {"STATE": "not deployed"}, True, ["status"]),
    ],
)
def test_a_smoke_test_fails_where_the_platform_does_and_a_refused_model_is_no_failure(
    shell: Shell, tmp_path: Path, smoke: str, told: dict[str, str], passes: bool, asked: list[str]
) -> None:
    (tmp_path / "smoke").mkdir()
    _command(tmp_path, "passerelle", FAKE)
    done = shell(
        script_of("deploy-environment.yml", "Smoke test"), ENVIRONMENT="dev", SMOKE=smoke, PROJECT="flights", **told
    )
    assert (done.returncode == 0) is passes, done.stderr
    lines = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[3] for line in lines] == asked
    assert all(line.startswith("--env dev --json ") for line in lines)


@pytest.mark.parametrize("environment", DEPLOYED)
def test_the_estimate_needs_no_account_tells_the_total_and_keeps_the_budget(
    shell: Shell, synthesised: Callable[[str], Path], tmp_path: Path, environment: str
) -> None:
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "assembly").symlink_to(synthesised(environment))
    given = {"ENVIRONMENT": environment, "AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(ROOT)}
    for step in ("Estimate what the environment costs", "Refuse what costs more than its budget"):
        done = shell(script_of("check.yml", step), **given)
        assert done.returncode == 0, done.stderr
    told = (tmp_path / f"estimate-{environment}.txt").read_text()
    assert re.search(rf"{environment}, us-east-1: at least [\d.]+ USD a month", told)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ('{"projects": [], "totalMonthlyCost": "0"}', r"\| `projects/flights \(serve\)` \|"),
        (None, "not known"),
    ],
)
def test_a_pull_request_is_told_what_it_costs_more_and_a_base_without_estimates_is_no_failure(
    shell: Shell, synthesised: Callable[[str], Path], tmp_path: Path, before: str | None, words: str
) -> None:
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "assembly").symlink_to(synthesised("dev"))
    (tmp_path / "base" / "cli").mkdir(parents=True)
    (tmp_path / "node_modules").mkdir()
    _command(tmp_path, "cdk", "")
    (tmp_path / "node_modules" / ".bin").symlink_to(tmp_path / "bin")
    if before:
        (tmp_path / "base" / "cli" / "__init__.py").touch()
        (tmp_path / "base" / "cli" / "main.py").write_text(f"print({before!r})")
    else:
        (tmp_path / "base" / "cli" / "__init__.py").write_text("raise SystemExit(1)")
    done = shell(script_of("check.yml", "Compare with what it cost before"), ENVIRONMENT="dev", PYTHONSAFEPATH="")
    assert done.returncode == 0, done.stderr
    assert re.search(words, (tmp_path / "cost-dev.md").read_text())


def test_the_comment_holds_each_environments_diff_and_none_breaks_out_of_its_block(
    shell: Shell, tmp_path: Path
) -> None:
    _command(tmp_path, "gh", "pathlib.Path('asked').write_text(json.dumps(sys.argv[1:]))")
    (tmp_path / "diff-dev.txt").write_text("[+] a queue\n````\n# Approved by everyone\n")
    (tmp_path / "diff-prod.txt").write_text("x" * 900_000)
    (tmp_path / "estimate-dev.txt").write_text("at least 107.80 USD a month")
    (tmp_path / "cost-dev.md").write_text("**Cost of dev**: +1.00 USD a month")
    done = shell(
        script_of("pull-request.yml", "Comment"), NUMBER="7", COMMIT="abc", GITHUB_REPOSITORY="example/passerelle"
    )
    assert done.returncode == 0, done.stderr
    body = (tmp_path / "body.md").read_text()
    assert len(body) < 65_536
    assert re.search(r"at least 107\.80 USD a month\s+\[\+\] a queue", body)
    assert body.startswith("**Cost of dev**: +1.00 USD a month")
    assert "No comparison" in body.split("<b>staging</b>")[1].split("<b>prod</b>")[0]
    assert len(re.findall(r"^````", body, re.MULTILINE)) == 6
    arguments = json.loads((tmp_path / "asked").read_text())
    assert arguments[:3] == ["pr", "comment", "7"]


def test_data_of_the_smoke_test_is_new_bytes_under_one_name_each_time(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    script, seen = script_of("deploy-environment.yml", "Make the data of the smoke test"), set()
    for run, attempt in (("1", "1"), ("1", "2"), ("2", "1")):
        done = shell(script, GITHUB_RUN_NUMBER=run, GITHUB_RUN_ATTEMPT=attempt, PYTHONPATH=str(ROOT))
        assert done.returncode == 0, done.stderr
        lines = (tmp_path / "smoke" / "smoke.csv").read_text().splitlines()
        assert len(lines) == 27_004  # January has that many flights; one less, and the header
        assert len((tmp_path / "smoke" / "rows.csv").read_text().splitlines()) == 6
        seen.add("\n".join(lines))
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("change", "code", "words"), [("", 0, "flights: valid"), ("metric: rocauc", 1, "project.yaml")]
)
def test_projects_are_validated_by_the_platforms_own_loader(
    shell: Shell, tmp_path: Path, change: str, code: int, words: str
) -> None:
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    for name in ("infra", "passerelle", "projects", "environments"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "projects" / "flights" / "project.yaml"
    path.write_text(path.read_text().replace("metric: roc_auc", change or "metric: roc_auc"))
    done = shell(script_of("projects.yml", "Validate every project"))
    assert done.returncode == code, done.stderr
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
