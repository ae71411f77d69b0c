"""The laptop at a clock of its own: its functions, jobs and schedules live at another time, and jump with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from laptop.clock import Clock, inherited
from laptop.platform import clean_environment
from tests.contract.sagemaker_requests import training
from tests.laptop_platform import IMAGES, ROLE, LaptopPlatform, running_platform, unique, wait_for

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="the clock needs Linux and a C compiler"
)
BEGIN = datetime(2013, 3, 4, 5, 6, 7, tzinfo=UTC)
#: Between what a process says of the time and what the clock says of it; nothing else takes so long here.
NEAR = timedelta(minutes=5)
TELL_TIME = "import time\n\ndef handler(event, context):\n    return time.time()\n"
SAY = "import time\ninput()\nprint(time.time(), flush=True)\n" * 2
#: Waits of all kinds take as long as they say, and many threads that start processes and make locks hinder none.
WAITS = """
import queue, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
began = time.monotonic()
threading.Event().wait(0.3)
try:
    queue.Queue().get(timeout=0.3)
except queue.Empty:
    pass
time.sleep(0.3)
assert time.monotonic() - began >= 0.9, time.monotonic() - began
over = threading.Event()
makers = [threading.Thread(target=lambda: [threading.Condition() for _ in iter(over.is_set, True)]) for _ in range(2)]
[maker.start() for maker in makers]
with ThreadPoolExecutor(4) as pool:
    ends = list(pool.map(lambda _: subprocess.call(["true"], preexec_fn=int), range(200)))
over.set()
print(ends.count(0), time.time())
"""


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path, BEGIN)


@pytest.fixture
def at_clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[LaptopPlatform]:
    """A platform started by a process at the clock."""
    for name, value in clock.environment.items():
        monkeypatch.setenv(name, value)
    with running_platform(tracking_server=False, images=IMAGES) as running:
        for name in clock.environment:
            monkeypatch.delenv(name)
        yield running


def test_a_process_that_runs_sees_the_clock_and_its_jump(clock: Clock) -> None:
    command = [sys.executable, "-c", SAY]
    process = subprocess.Popen(
        command, env={**os.environ, **clock.environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for moment in (BEGIN + timedelta(days=1), BEGIN + timedelta(days=30)):
        clock.move(moment)
        process.stdin.write("\n")
        process.stdin.flush()
        assert abs(datetime.fromtimestamp(float(process.stdout.readline()), UTC) - moment) < NEAR
    process.communicate()
    assert abs(clock.now - BEGIN - timedelta(days=30)) < NEAR


def test_waits_and_children_of_many_threads_are_as_without_a_clock(clock: Clock) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WAITS],
        env={**os.environ, **clock.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    ended, told = done.stdout.split()
    assert ended == "200"
    assert abs(datetime.fromtimestamp(float(told), UTC) - clock.now) < NEAR


def test_a_process_whose_clock_cannot_be_read_does_not_run_at_another_time(clock: Clock, tmp_path: Path) -> None:
    environment = {**os.environ, **clock.environment, "PASSERELLE_CLOCK": str(tmp_path / "none")}
    done = subprocess.run(["true"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr


def test_time_does_not_go_back(clock: Clock) -> None:
    with pytest.raises(ValueError, match="2013-03-04 05:06"):
        clock.move(BEGIN - timedelta(days=1))


def test_what_the_platform_starts_inherits_the_clock_only(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "another")
    assert inherited() == {}
    assert "LD_PRELOAD" not in clean_environment()
    for name, value in clock.environment.items():
        monkeypatch.setenv(name, value)
    assert inherited() == clock.environment
    assert clean_environment().items() >= clock.environment.items()


def test_functions_jobs_and_schedules_live_by_the_clock(clock: Clock, at_clock: LaptopPlatform) -> None:
    function = at_clock.create_function(TELL_TIME)

    def told() -> datetime:
        answer = at_clock.client("lambda").invoke(FunctionName=function)["Payload"].read()
        return datetime.fromtimestamp(float(answer), UTC)

    assert abs(told() - clock.now) < NEAR
    machine = at_clock.create_machine({"Done": {"Type": "Succeed"}})
    at_clock.client("scheduler").create_schedule(
        Name="weekly",
        ScheduleExpression="cron(20 0 ? * MON *)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": machine, "RoleArn": ROLE, "Input": json.dumps({})},
    )
    states = at_clock.client("stepfunctions")
    assert states.list_executions(stateMachineArn=machine)["executions"] == []
    due = datetime(2013, 3, 11, 0, 20, tzinfo=UTC)
    clock.move(due + timedelta(seconds=1))
    (execution,) = wait_for(lambda: states.list_executions(stateMachineArn=machine)["executions"])
    assert due <= execution["startDate"] < due + NEAR
    assert abs(told() - clock.now) < NEAR
    at_clock.client("s3").create_bucket(Bucket="contract")
    sagemaker, name = at_clock.client("sagemaker"), {"TrainingJobName": unique("job")}
    sagemaker.create_training_job(**training(name["TrainingJobName"]))
    job = wait_for(lambda: (found := sagemaker.describe_training_job(**name)).get("TrainingEndTime") and found)
    assert job["TrainingJobStatus"] == "Completed", job
    assert due <= job["TrainingStartTime"] <= job["TrainingEndTime"] < due + NEAR
