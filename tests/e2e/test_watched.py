"""A model that meets other rows than it learnt from: seen, told once, and trained anew, by nobody's hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.platform import DeployedLaptop
from tests.e2e.projects import START, Row, as_csv, make_rows
from tests.e2e.steady_load import wait_until

#: So many rows are asked, and each is another customer.
ASKED = 600


@pytest.fixture
def told(laptop: DeployedLaptop) -> Iterator[Callable[[], list[str]]]:
    """Return a function that gives the subjects of what people were told since it was last asked."""
    sns, sqs = laptop.client("sns"), laptop.client("sqs")
    queue = sqs.create_queue(QueueName="told-of-watched")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = laptop.resource("alerts-notify")
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]

    def subjects() -> list[str]:
        found = list[str]()
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ()):
            for message in messages:
                found.append(str(json.loads(message["Body"])["Subject"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    yield subjects
    sns.unsubscribe(SubscriptionArn=subscription)
    sqs.delete_queue(QueueUrl=queue)


def ask(laptop: DeployedLaptop, rows: list[Row]) -> None:
    sent = ("customer", "seen_at", "plan", "visits", "age")
    for begin in range(0, len(rows), 100):
        records = [{name: row[name] for name in sent} for row in rows[begin : begin + 100]]
        laptop.predict("watched", [{**row, "age": row["age"] or None} for row in records])


def watch(laptop: DeployedLaptop, now: datetime) -> dict[str, Any]:
    """Let the machine look at what is over at a moment, and wait for its end."""
    states, ended = laptop.client("stepfunctions"), dict[str, Any]()
    request = json.dumps({"project": "watched", "now": now.isoformat()})
    arn = states.start_execution(stateMachineArn=laptop.resource("watch-project"), input=request)["executionArn"]

    def over() -> bool:
        ended.update(states.describe_execution(executionArn=arn))
        return bool(ended["status"] != "RUNNING")

    wait_until(over)
    assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"))
    return dict(json.loads(ended["output"]))


def first_look(began: datetime) -> datetime:
    """Return when the hour that began then is over, with its grace, and the next one is not: that is empty, so quiet."""
    return began.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1, minutes=30)


def test_rows_unlike_the_training_data_are_seen_told_once_and_learnt_from(
    laptop: DeployedLaptop, told: Callable[[], list[str]]
) -> None:
    # Enough that the test period says what the model's errors are like.
    first = laptop.run_of("watched", "watched/1.csv", laptop.drop("watched/1.csv", as_csv(make_rows(1_600))))
    assert first["status"] == "succeeded", first["error"]
    rows = [
        {**row, "visits": row["visits"] + 30, "customer": f"w{row['customer']}"} for row in make_rows(ASKED, seed=5)
    ]
    began = datetime.now(UTC)
    ask(laptop, rows)
    laptop.recorded("watched", [row["customer"] for row in rows], ASKED)
    # What became of the rows that were asked comes with the next drop.
    later = as_csv([*make_rows(900, seed=6, start=START + timedelta(days=200)), *rows])
    kept = laptop.run_of("watched", "watched/2.csv", laptop.drop("watched/2.csv", later))
    assert (kept["status"], kept["model_version"]) == ("kept", None)

    answer = watch(laptop, first_look(began))
    assert answer["status"] == "retrain", answer

    shown = json.loads(laptop.passerelle("--json", "drift", "watched").stdout)
    judged = max(shown["windows"], key=lambda window: window["rows"])
    assert (judged["status"], judged["version"]) == ("judged", first["model_version"])
    assert judged["severities"]["visits"] == "major"
    assert "drift" in {incident["cause"] for incident in shown["incidents"]}
    bucket, _, prefix = judged["prefix"].removeprefix("s3://").partition("/")
    page = laptop.client("s3").get_object(Bucket=bucket, Key=f"{prefix}/page.html")["Body"].read().decode()
    assert "visits" in page
    assert "Lasts:" in laptop.passerelle("drift", "watched").stdout

    wait_until(lambda: laptop.runs("watched")[-1]["status"] not in ("collecting", "running"), 300)
    run = laptop.runs("watched")[-1]
    assert run["run_id"] == answer["run"]["run_id"]
    assert run["why_begun"].startswith("drift: ")
    assert run["status"] in ("succeeded", "refused"), run["error"]
    assert run["dataset_id"] == kept["dataset_id"]
    assert "Begun" in laptop.passerelle("runs", "show", run["run_id"]).stdout

    statistics = laptop.client("cloudwatch").get_metric_statistics(
        Namespace="Passerelle",
        MetricName="DataDriftSeverity",
        Dimensions=[{"Name": "Environment", "Value": "laptop"}, {"Name": "Project", "Value": "watched"}],
        StartTime=began - timedelta(minutes=5),
        EndTime=datetime.now(UTC) + timedelta(minutes=5),
        Period=3_600,
        Statistics=["Maximum"],
    )
    assert max(point["Maximum"] for point in statistics["Datapoints"]) == 3

    watch(laptop, first_look(began))
    shown = json.loads(laptop.passerelle("--json", "drift", "watched").stdout)
    labelled = next(window for window in shown["windows"] if window["start"] == judged["start"])
    # Rows so unlike those of the test period may leave too little to rank: then it is said why.
    assert "roc_auc" in judged["estimated"] or judged["unknown"]["estimated"]
    assert judged["estimated"]["log_loss"]["before"] > 0
    assert judged["unknown"]["realised"] == "no label is known yet"
    assert (judged["labelled"], labelled["labelled"]) == (0, judged["rows"])
    assert "roc_auc" in labelled["realised"]
    # MLflow shows it with the run whose model was asked.
    run_id = first["mlflow_url"].rsplit("/", 1)[-1]
    logged = json.loads(laptop.mlflow("api/2.0/mlflow/runs/get", run_id=run_id))["run"]["data"]
    assert {"windows/severity", "windows/moved/visits"} <= {metric["key"] for metric in logged["metrics"]}
    assert len([subject for subject in told() if subject.startswith("watched (laptop): visits")]) == 1
