"""Programs that the platform runs to their end: an interruption takes with them what they have started."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from laptop.processes import run_to_end
from laptop.settings import LaptopSettings

INTERRUPTED = """
import signal, sys
from pathlib import Path
from laptop.processes import run_to_end
from laptop.settings import LaptopSettings

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
home = Path(sys.argv[1])
run_to_end(LaptopSettings(home=home), ["/bin/sh", "-c", f"sleep 600 & echo $! > {home}/pid.partial; "
    f"mv {home}/pid.partial {home}/pid; wait"])
"""


def test_an_interruption_leaves_nothing_of_what_the_program_started(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, str(tmp_path)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    grandchild = psutil.Process(int((tmp_path / "pid").read_text()))
    _interrupt(process)
    deadline = time.monotonic() + 300
    with contextlib.suppress(psutil.NoSuchProcess):
        while grandchild.is_running() and grandchild.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """Press Ctrl-C, and once more where Python lost it: raised within a callback, it is only printed."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)


def test_a_programs_output_and_status_come_back(tmp_path: Path) -> None:
    done = run_to_end(LaptopSettings(home=tmp_path), ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_a_program_of_another_supplier_sees_no_secret_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    done = run_to_end(
        LaptopSettings(home=tmp_path), ["/bin/sh", "-c", "echo [$AWS_SECRET_ACCESS_KEY] $PASSERELLE_HOME"]
    )
    assert done.stdout == f"[] {tmp_path}\n"
