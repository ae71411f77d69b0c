"""The laptop platform starts, stops, survives kill -9 of any part, and leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from laptop.platform import AWS, DATABASE, MLFLOW, delete_state, down, status, up
from laptop.processes import MARKER, Processes
from laptop.settings import LaptopSettings
from passerelle.errors import SettingsError, TransientError
from tests.laptop_platform import LaptopPlatform, free_port, platform_home, unique, wait_for

ECHO = "def handler(event, context):\n    print('hello from the function')\n    return event\n"


@pytest.fixture
def settings() -> Iterator[LaptopSettings]:
    with platform_home() as home:
        made = LaptopSettings(home=home, port=free_port(), mlflow_port=free_port())
        yield made
        down(made)
        assert _marked(made) == []


def _marked(settings: LaptopSettings) -> list[list[str]]:
    """Return the commands of all processes that belong to a platform."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == str(settings.home):
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


def _pid(settings: LaptopSettings, name: str) -> int:
    recorded = Processes(settings).find(name)
    assert recorded is not None
    return recorded.pid


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def _listens(port: int) -> bool:
    return any(item.laddr.port == port for item in psutil.net_connections("tcp") if item.status == "LISTEN")


def test_the_whole_platform_starts_says_so_survives_the_death_of_each_part_and_stops_without_a_trace(
    settings: LaptopSettings,
) -> None:
    told: list[str] = []
    up(settings, progress=told.append)
    assert any("PostgreSQL" in line for line in told)
    described = status(settings)
    assert described.up
    assert {item.name for item in described.processes} == {AWS, DATABASE, MLFLOW}
    pids = {item.name: item.pid for item in described.processes}

    up(settings)
    assert {item.name: item.pid for item in status(settings).processes} == pids, "up when up does nothing"

    made = []
    for name, kept in ((MLFLOW, (AWS, DATABASE)), (AWS, (DATABASE, MLFLOW)), (DATABASE, (AWS,))):
        before = {item.name: item.pid for item in status(settings).processes}
        _kill(int(before[name] or 0))
        assert [item.name for item in status(settings).processes if not item.running] == [name]
        up(settings)
        after = {item.name: item.pid for item in status(settings).processes}
        assert after[name] != before[name]
        assert [after[other] for other in kept] == [before[other] for other in kept]
        made.append(_new_experiment(settings))  # MLflow works after the part came back
    down(settings)
    up(settings)
    assert set(made) <= _experiments(settings), "what was tracked survives crashes and a restart"

    _only_local_listeners(settings)
    down(settings)
    assert not any(item.running for item in status(settings).processes)
    assert _marked(settings) == []
    assert not _listens(settings.port)
    assert not _listens(settings.mlflow_port)


def _new_experiment(settings: LaptopSettings) -> str:
    name = unique("experiment")
    url = f"{settings.mlflow_url}/api/2.0/mlflow/experiments/create"
    request = urllib.request.Request(url, json.dumps({"name": name}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30):
        return name


def _experiments(settings: LaptopSettings) -> set[str]:
    url = f"{settings.mlflow_url}/api/2.0/mlflow/experiments/search?max_results=100"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return {item["name"] for item in json.load(answer)["experiments"]}


def _only_local_listeners(settings: LaptopSettings) -> None:
    ours = {process.pid for process in psutil.process_iter() if _belongs(process, settings)}
    addresses = {
        item.laddr.ip for item in psutil.net_connections("inet") if item.pid in ours and item.status == "LISTEN"
    }
    assert addresses == {"127.0.0.1"}


def _belongs(process: psutil.Process, settings: LaptopSettings) -> bool:
    try:
        return bool(process.environ().get(MARKER) == str(settings.home))
    except psutil.Error:
        return False


@pytest.fixture
def aws(settings: LaptopSettings) -> LaptopPlatform:
    up(settings, tracking_server=False)
    return LaptopPlatform(settings)


def _restart_after_kill(aws: LaptopPlatform) -> None:
    time.sleep(4)  # more than one snapshot
    _kill(_pid(aws.settings, AWS))
    up(aws.settings, tracking_server=False)


def test_objects_versions_tables_parameters_functions_and_machines_survive_kill_9(aws: LaptopPlatform) -> None:
    s3, ssm, dynamodb = aws.client("s3"), aws.client("ssm"), aws.client("dynamodb")
    s3.create_bucket(Bucket="zone")
    s3.put_bucket_versioning(Bucket="zone", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="zone", Key="a b/é.csv", Body=b"one")["VersionId"]
    second = s3.put_object(Bucket="zone", Key="a b/é.csv", Body=b"two")["VersionId"]
    ssm.put_parameter(Name="/p", Value="v", Type="String")
    dynamodb.create_table(
        TableName="runs",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName="runs", Item={"pk": {"S": "one"}, "bytes": {"B": b"\x00\xff"}})
    function = aws.create_function(ECHO)
    machine = aws.create_machine({"Only": {"Type": "Pass", "End": True}})

    _restart_after_kill(aws)

    assert s3.get_object(Bucket="zone", Key="a b/é.csv")["Body"].read() == b"two"
    assert s3.get_object(Bucket="zone", Key="a b/é.csv", VersionId=first)["Body"].read() == b"one"
    listed = s3.list_object_versions(Bucket="zone")["Versions"]
    assert {item["VersionId"] for item in listed} == {first, second}
    assert s3.get_bucket_versioning(Bucket="zone")["Status"] == "Enabled"
    assert ssm.get_parameter(Name="/p")["Parameter"]["Value"] == "v"
    assert dynamodb.get_item(TableName="runs", Key={"pk": {"S": "one"}})["Item"]["bytes"]["B"] == b"\x00\xff"
    answer = aws.client("lambda").invoke(FunctionName=function, Payload=b'{"still": "there"}')
    assert json.loads(answer["Payload"].read()) == {"still": "there"}
    assert aws.finish(aws.start(machine))["status"] == "SUCCEEDED"


def test_an_execution_that_ran_when_the_platform_was_killed_goes_on_as_if_nothing_had_been(aws: LaptopPlatform) -> None:
    execution = aws.start(_sleep_then_echo(aws), {"seconds": 8})
    _restart_after_kill(aws)
    described = aws.client("stepfunctions").describe_execution(executionArn=execution)
    assert described["status"] == "RUNNING", described
    done = aws.finish(execution)
    assert (done["status"], json.loads(done["output"]), done["redriveCount"]) == ("SUCCEEDED", {"seconds": 8}, 0)


def test_an_execution_that_ran_when_the_platform_was_stopped_goes_on_after_the_next_start(aws: LaptopPlatform) -> None:
    function = aws.create_function("import time\ndef handler(e, c):\n    time.sleep(3)\n    return 'done'")
    machine = aws.create_machine(
        {
            "Slow": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Arguments": {"FunctionName": function, "Payload": {}},
                "Output": "{% $states.result.Payload %}",
                "End": True,
            }
        }
    )
    execution = aws.start(machine)
    wait_for(lambda: len(_history(aws, execution)) > 2)
    down(aws.settings)
    up(aws.settings, tracking_server=False)
    done = aws.finish(execution)
    assert (done["status"], json.loads(done["output"])) == ("SUCCEEDED", "done")


def _history(aws: LaptopPlatform, execution: str) -> list[Any]:
    return list(aws.client("stepfunctions").get_execution_history(executionArn=execution)["events"])


def _sleep_then_echo(aws: LaptopPlatform) -> str:
    return aws.create_machine(
        {
            "Sleep": {"Type": "Wait", "Seconds": "{% $states.input.seconds %}", "Next": "Echo"},
            "Echo": {"Type": "Pass", "End": True},
        }
    )


def test_stopping_the_platform_ends_functions_and_jobs_that_are_at_work(aws: LaptopPlatform) -> None:
    function = aws.create_function("import time\ndef handler(e, c):\n    time.sleep(60)", Timeout=90)
    aws.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=b"{}")
    wait_for(lambda: any("_worker.py" in " ".join(command) for command in _marked(aws.settings)))
    down(aws.settings)
    assert _marked(aws.settings) == []


def test_a_port_that_another_program_uses_is_named_with_the_variable_that_moves_it(settings: LaptopSettings) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.port))
        other.listen()
        with pytest.raises(SettingsError, match=f"{settings.port}.*PASSERELLE_PORT"):
            up(settings, tracking_server=False)
    assert not any(item.running for item in status(settings).processes)


def test_a_record_of_another_programs_pid_is_not_believed_and_that_program_is_left_alone(
    settings: LaptopSettings,
) -> None:
    foreign = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        folder = settings.home / "run"
        folder.mkdir(parents=True)
        record = {"name": AWS, "pid": foreign.pid, "started": 1.0, "port": settings.port}
        (folder / "aws.json").write_text(json.dumps(record))
        assert not any(item.running for item in status(settings).processes)
        up(settings, tracking_server=False)
        down(settings)
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_a_program_of_the_user_that_knows_the_platforms_home_is_left_alone(settings: LaptopSettings) -> None:
    environment = {**os.environ, "PASSERELLE_HOME": str(settings.home)}
    shell = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)  # training"], env=environment)
    try:
        up(settings, tracking_server=False)
        down(settings)
        assert shell.poll() is None
    finally:
        shell.kill()
        shell.wait()


def test_a_start_that_is_interrupted_leaves_nothing_behind(settings: LaptopSettings) -> None:
    # A test run that was started in the background ignores SIGINT, and its children with it.
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from laptop.settings import LaptopSettings; from laptop.platform import up; up(LaptopSettings.from_env())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, **settings.as_environment()}, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: (settings.home / "run" / "aws.json").exists())
    process.send_signal(signal.SIGINT)
    assert process.wait(30) != 0
    assert _marked(settings) == []


def test_a_second_start_at_the_same_time_is_refused_with_what_to_do(settings: LaptopSettings) -> None:
    def start_again(message: str) -> None:
        del message
        with pytest.raises(TransientError, match="Try again"):
            up(settings, tracking_server=False)

    up(settings, progress=start_again, tracking_server=False)


def test_the_embedded_aws_has_none_of_the_hosts_secrets(
    settings: LaptopSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "DATABASE_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "host-secret")
    up(settings, tracking_server=False)
    monkeypatch.undo()
    aws = LaptopPlatform(settings)
    function = aws.create_function("import os\ndef handler(e, c):\n    return dict(os.environ)")
    environment = json.loads(aws.client("lambda").invoke(FunctionName=function)["Payload"].read())
    assert "host-secret" not in environment.values()
    assert environment["AWS_ENDPOINT_URL"] == settings.endpoint_url


def test_the_status_tells_what_is_ready_and_which_versions_run(aws: LaptopPlatform) -> None:
    with urllib.request.urlopen(f"{aws.settings.endpoint_url}/_passerelle/status") as answer:
        document = json.load(answer)
    assert (document["ready"], document["running_jobs"], document["endpoints"]) == (True, [], [])
    assert document["versions"]["ministack"] == "1.5.33"
    request = urllib.request.Request(f"{aws.settings.endpoint_url}/_passerelle/interrupt/nothing", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 409
    assert "nothing" in json.load(refused.value)["error"]


def test_a_web_page_of_another_site_cannot_wipe_the_platform(aws: LaptopPlatform) -> None:
    aws.client("s3").create_bucket(Bucket="kept")
    url = f"{aws.settings.endpoint_url}/_ministack/reset"
    request = urllib.request.Request(url, b"", {"Sec-Fetch-Site": "cross-site"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403
    aws.client("s3").head_bucket(Bucket="kept")


def test_another_platform_with_its_own_home_and_port_is_not_disturbed(
    aws: LaptopPlatform, embedded_aws: LaptopPlatform
) -> None:
    embedded_aws.client("s3").list_buckets()
    _kill(_pid(aws.settings, AWS))
    down(aws.settings)
    assert Path(f"/proc/{_pid(embedded_aws.settings, AWS)}").exists()
    embedded_aws.client("s3").list_buckets()


def test_deleting_the_state_stops_the_platform_and_removes_its_home(aws: LaptopPlatform) -> None:
    aws.client("s3").create_bucket(Bucket="gone-with-the-state")
    delete_state(aws.settings)
    assert not aws.settings.home.exists()
    assert _marked(aws.settings) == []
    up(aws.settings, tracking_server=False)
    assert aws.client("s3").list_buckets()["Buckets"] == []
