"""The command line without a platform: help, wrong usage, exit codes, and what it says when nothing answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cli.commands.predict import read_request
from cli.failures import RunNotServedError, failures_as_exit_codes
from cli.main import COMMANDS, cli, main
from passerelle.errors import BundleError, InputError, PasserelleError, SettingsError, TransientError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 3),
        (BundleError("x"), 3),
        (SettingsError("x"), 4),
        (TransientError("x"), 5),
        (RunNotServedError("x"), 6),
        (PasserelleError("x"), 1),
        (RuntimeError("x"), 1),
        (KeyboardInterrupt(), 130),
        (click.UsageError("x"), 2),
    ],
)
def test_every_kind_of_failure_has_its_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop, failures_as_exit_codes():
        raise error
    assert stop.value.code == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.strip()
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_that_says_what_it_does(command: str) -> None:
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    assert len(found.help or "") > 30
    undocumented = [
        parameter.name
        for parameter in found.params
        if isinstance(parameter, click.Option) and not parameter.help and parameter.name != "help"
    ]
    assert undocumented == []


def test_a_mistyped_command_lists_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["pedict"])
    assert stop.value.code == 2
    assert "predict" in capsys.readouterr().err


def test_help_imports_neither_aws_nor_the_laptop() -> None:
    code = (
        "import sys\nfrom cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('boto3', 'pandas', 'mlflow', 'laptop.server', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "command", [["status"], ["runs"], ["predict", "flights", "--row", "{}"], ["logs", "run", "latest"]]
)
def test_a_platform_that_is_down_is_said_with_the_command_that_starts_it(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PASSERELLE_HOME", str(tmp_path))
    monkeypatch.setenv("PASSERELLE_PORT", "1")
    with pytest.raises(SystemExit) as stop:
        main(["--json", *command])
    assert stop.value.code == 5
    assert "passerelle up" in capsys.readouterr().err


def test_laptop_commands_refuse_other_environments(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("up", "down", "demo"):
        with pytest.raises(SystemExit) as stop:
            main(["--env", "prod", command])
        assert stop.value.code == 4
        assert "laptop only" in capsys.readouterr().err


def test_rows_to_predict_come_from_options_or_files(tmp_path: Path) -> None:
    body, kind = read_request(('{"a": 1}', '{"a": 2}'), None)
    assert (json.loads(body), kind) == ({"dataframe_records": [{"a": 1}, {"a": 2}]}, "application/json")
    path = tmp_path / "rows.CSV"
    path.write_text("a\n1\n")
    assert read_request((), path) == (b"a\n1\n", "text/csv")


@pytest.mark.parametrize(
    ("rows", "name", "words"),
    [
        (("{a: 1}",), None, "not JSON at character 2"),
        (("[1]",), None, "not list"),
        ((), "rows.xlsx", "use .csv, .json, .jsonl"),
        ((), "absent.csv", "No such file"),
    ],
)
def test_rows_that_cannot_be_sent_are_refused_with_the_reason(
    rows: tuple[str, ...], name: str | None, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        read_request(rows, tmp_path / name if name else None)


def test_predict_wants_rows_or_a_file_and_not_both(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--row", "{}", "--file", "x.csv"]):
        with pytest.raises(SystemExit) as stop:
            main(["predict", "flights", *arguments])
        assert stop.value.code == 2
        assert "either --row" in capsys.readouterr().err


SWALLOWS = """
import os, signal, time
from cli.failures import failures_as_exit_codes, heed_interruptions
signal.signal(signal.SIGINT, signal.default_int_handler)
heed_interruptions()
class Callback:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
with failures_as_exit_codes():
    Callback()
    print("swallowed", flush=True)
    time.sleep(30)
"""


def test_an_interruption_that_python_swallows_is_raised_again() -> None:
    done = subprocess.run([sys.executable, "-c", SWALLOWS], capture_output=True, text=True, timeout=25)
    assert "swallowed" in done.stdout
    assert done.returncode == 130, done.stderr
