"""`passerelle --env dev deploy`: the CDK asks in the person's own terminal."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
#: Asks as the CDK does: only in a terminal. What it synthesises costs FAKE_USD a month.
FAKE_CDK = """#!{python}
import json, os, pathlib, sys
if sys.argv[1] == "synth":
    folder = pathlib.Path(sys.argv[sys.argv.index("--output") + 1])
    folder.mkdir(parents=True)
    keys = {{f"Key{{number}}": {{"Type": "AWS::KMS::Key"}} for number in range(int(os.environ.get("FAKE_USD", "1")))}}
    (folder / "a.template.json").write_text(json.dumps({{"Resources": keys}}))
    stack = {{"type": "aws:cloudformation:stack", "environment": "aws://111111111111/us-east-1",
             "properties": {{"stackName": "a", "templateFile": "a.template.json"}}}}
    (folder / "manifest.json").write_text(json.dumps({{"artifacts": {{"a": stack}}}}))
    sys.exit()
print("asked to", *sys.argv[1:])
if not sys.stdout.isatty():
    sys.exit("terminal (TTY) is not attached")
answer = input("Do you wish to deploy these changes (y/n)? ")
sys.exit(0 if answer == "y" else 3)
"""
PROGRAM = """
import pathlib, sys
from cli import deployment, main
deployment.ROOT = pathlib.Path(sys.argv[1])
main.main(["--env", "dev", "--json", "deploy"])
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with dev's configuration, its project, and a CDK that deploys nothing."""
    cdk = tmp_path / "node_modules" / ".bin" / "cdk"
    cdk.parent.mkdir(parents=True)
    cdk.write_text(FAKE_CDK.format(python=sys.executable))
    cdk.chmod(0o755)
    for name in ("environments/dev.yaml", "projects/flights/project.yaml"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def refused(checkout: Path, usd: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(checkout)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "FAKE_USD": str(usd)},
    )  # fmt: skip


def test_what_costs_more_than_its_budget_is_not_deployed_and_the_remedy_is_told(checkout: Path) -> None:
    done = refused(checkout, 300)
    assert done.returncode == 3
    assert "of 200.00 USD a month" in done.stderr
    assert "budget.waivers" in done.stderr
    assert "asked to deploy" not in done.stderr


@pytest.mark.parametrize(
    ("waiver", "words"),
    [
        ("{up_to_usd: 500, name: Ada, reason: load test of the year, expires: 2999-01-01}", "asked to deploy"),
        (
            "{up_to_usd: 500, name: Ada, reason: load test of the year, expires: 2020-01-01}",
            "Ada expired on 2020-01-01",
        ),
        ("{up_to_usd: 250, name: Ada, reason: load test of the year, expires: 2999-01-01}", "goes up to 250.00 only"),
        ("{up_to_usd: 250, name: Ada, expires: 2999-01-01}", "reason"),
    ],
)
def test_a_waiver_lets_it_through_until_it_expires_and_up_to_its_sum(checkout: Path, waiver: str, words: str) -> None:
    path = checkout / "environments" / "dev.yaml"
    path.write_text(path.read_text().replace("budget: {", f"budget: {{waivers: [{waiver}], "))
    done = refused(checkout, 300)
    assert words in done.stderr
    assert ("Not deployed" in done.stderr) is ("only" in words or "expired" in words)


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 4)])
def test_a_person_answers_the_cdks_question_and_a_no_is_a_failure(checkout: Path, answer: str, code: int) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", PROGRAM, str(checkout)]
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True, timeout=120)
        shown = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "asked to deploy --all --app" in shown
    assert "Do you wish to deploy" in shown
    assert done.returncode == code
    assert ('"deployed": true' in done.stdout) is (code == 0)
    assert ("doctor" in shown) is (code != 0)


def test_a_checkout_that_was_never_installed_is_told_how(checkout: Path) -> None:
    (checkout / "node_modules" / ".bin" / "cdk").unlink()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(checkout)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 4
    assert "make install" in done.stderr
