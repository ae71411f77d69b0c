"""`passerelle --env dev deploy`: the CDK asks in the person's own terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

#: Asks as the CDK does: only in a terminal.
FAKE_CDK = """#!{python}
import sys
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


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 4)])
def test_a_person_answers_the_cdks_question_and_a_no_is_a_failure(tmp_path: Path, answer: str, code: int) -> None:
    cdk = tmp_path / "node_modules" / ".bin" / "cdk"
    cdk.parent.mkdir(parents=True)
    cdk.write_text(FAKE_CDK.format(python=sys.executable))
    cdk.chmod(0o755)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True, timeout=120)
        shown = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "asked to deploy --all -c env=dev" in shown
    assert "Do you wish to deploy" in shown
    assert done.returncode == code
    assert ('"deployed": true' in done.stdout) is (code == 0)
    assert ("doctor" in shown) is (code != 0)


def test_a_checkout_that_was_never_installed_is_told_how(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 4
    assert "make install" in done.stderr
