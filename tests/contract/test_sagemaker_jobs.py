"""Jobs are real processes with SageMaker's container contract, statuses, times, logs and events."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.validation import service_model
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_service import Own, own, wait_for

__all__ = ["own"]

SPOT = {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90},
        "CheckpointConfig": {"S3Uri": "s3://contract/checkpoints"}}  # fmt: skip


def channel(name: str, uri: str) -> dict[str, Any]:
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}


def in_training(own: Own, name: str) -> None:
    wait_for(lambda: own.call("DescribeTrainingJob", {"TrainingJobName": name})["SecondaryStatus"] == "Training")
    wait_for(lambda: any("started" in text for _, stream, text in own.around.lines if stream.startswith(name)))


def model_of(own: Own, job: dict[str, Any]) -> dict[str, Any]:
    raw = own.read(job["ModelArtifacts"]["S3ModelArtifacts"])
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        return dict(json.load(tar.extractfile("model.json")))  # type: ignore[arg-type]


def test_a_training_job_gets_its_channels_and_parameters_and_uploads_its_model(own: Own) -> None:
    own.put("s3://contract/data/part-1.txt", "hello")
    request = make.training(
        "job", InputDataConfig=[channel("train", "s3://contract/data/")], HyperParameters={"a": "1"}
    )
    own.call("CreateTrainingJob", request)
    job = own.ended("TrainingJob", "job")
    assert job["TrainingJobStatus"] == "Completed"
    assert model_of(own, job) == {"pids": [pytest.approx(0, abs=1e9)], "parameters": {"a": "1"},
                                  "data": {"train/part-1.txt": "hello"}}  # fmt: skip
    assert own.read("s3://contract/out/job/output/output.tar.gz")
    phases = [part["Status"] for part in job["SecondaryStatusTransitions"]]
    assert phases == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert job["BillableTimeInSeconds"] >= 1
    assert ("/aws/sagemaker/TrainingJobs", "started") in {(group, text) for group, _, text in own.around.lines}
    events = [detail["TrainingJobStatus"] for kind, detail in own.around.events if "Training Job" in kind]
    assert events[0] == "InProgress"
    assert events[-1] == "Completed"


def test_the_same_name_twice_is_in_use(own: Own) -> None:
    own.call("CreateTrainingJob", make.training("job"))
    with pytest.raises(SageMakerError, match="must be unique") as caught:
        own.call("CreateTrainingJob", make.training("job"))
    assert caught.value.code == "ResourceInUse"


def test_the_failure_file_becomes_the_failure_reason(own: Own) -> None:
    own.call("CreateTrainingJob", make.training("job", Environment={"FAIL": "the label has one class"}))
    job = own.ended("TrainingJob", "job")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: the label has one class, exit code: 3"


def test_an_empty_channel_or_an_unknown_image_fails_the_job_and_says_so(own: Own) -> None:
    own.call("CreateTrainingJob", make.training("empty", InputDataConfig=[channel("train", "s3://contract/none/")]))
    assert "No S3 objects found" in own.ended("TrainingJob", "empty")["FailureReason"]
    own.call("CreateTrainingJob", make.training("image", AlgorithmSpecification__TrainingImage="other:1"))
    assert "Cannot pull the image other:1" in own.ended("TrainingJob", "image")["FailureReason"]


@pytest.mark.parametrize("on_term", ["obey", "ignore"])
def test_a_job_that_exceeds_its_runtime_is_stopped_even_if_it_ignores_sigterm(own: Own, on_term: str) -> None:
    environment = {"STEPS": "1000", "ON_TERM": on_term}
    stop = {"MaxRuntimeInSeconds": 1}
    own.call("CreateTrainingJob", make.training("job", Environment=environment, StoppingCondition=stop))
    job = own.ended("TrainingJob", "job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_stop_ends_a_job_once(own: Own) -> None:
    own.call("CreateTrainingJob", make.training("job", Environment={"STEPS": "1000"}))
    in_training(own, "job")
    own.call("StopTrainingJob", {"TrainingJobName": "job"})
    assert own.ended("TrainingJob", "job")["TrainingJobStatus"] == "Stopped"
    with pytest.raises(SageMakerError, match="in status Stopped"):
        own.call("StopTrainingJob", {"TrainingJobName": "job"})


def test_an_ordered_interruption_resumes_from_the_checkpoint(own: Own) -> None:
    own.call("CreateTrainingJob", make.training("job", Environment={"STEPS": "20"}, **SPOT))
    in_training(own, "job")
    wait_for(lambda: own.around.bucket.path("contract", "checkpoints/steps.json").exists())
    own.sagemaker.interrupt("job")
    job = own.ended("TrainingJob", "job")
    pids = model_of(own, job)["pids"]
    assert len(pids) == 20
    assert len(set(pids)) == 2
    phases = [part["Status"] for part in job["SecondaryStatusTransitions"]]
    assert phases.count("Interrupted") == 1
    assert phases.count("Starting") == 2


def test_only_a_running_spot_job_can_be_interrupted(own: Own) -> None:
    own.call("CreateTrainingJob", make.training("job", Environment={"STEPS": "30"}))
    in_training(own, "job")
    with pytest.raises(SageMakerError, match="managed spot"):
        own.sagemaker.interrupt("job")
    with pytest.raises(SageMakerError, match="not found"):
        own.sagemaker.interrupt("nobody")


def test_interruptions_are_drawn_alike_for_the_same_seed(tmp_path: Path) -> None:
    counts = []
    for attempt in range(2):
        service = Own(tmp_path / str(attempt), spot_interruption_rate=1.0, seed=3)
        service.call("CreateTrainingJob", make.training("job", Environment={"STEPS": "60"}, **SPOT))
        job = service.ended("TrainingJob", "job")
        counts.append([part["Status"] for part in job["SecondaryStatusTransitions"]].count("Interrupted"))
        service.sagemaker.close()
    assert counts == [1, 1]


def test_a_job_goes_on_from_its_checkpoint_after_a_restart_of_the_platform(own: Own) -> None:
    own.call("CreateTrainingJob", make.training("job", Environment={"STEPS": "30"}, **SPOT))
    in_training(own, "job")
    wait_for(lambda: own.around.bucket.path("contract", "checkpoints/steps.json").exists())
    own.reopen()
    assert len(set(model_of(own, own.ended("TrainingJob", "job"))["pids"])) == 2


def test_a_spot_job_that_waits_too_long_ends_stopped_and_not_failed(tmp_path: Path) -> None:
    service = Own(tmp_path, launch_seconds=2.0)
    changes = {**SPOT, "StoppingCondition": {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 1}}
    service.call("CreateTrainingJob", make.training("job", **changes))
    job = service.ended("TrainingJob", "job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    service.sagemaker.close()


def _processing(name: str, **environment: str) -> dict[str, Any]:
    source = {"S3Uri": "s3://contract/texts/", "LocalPath": "/opt/ml/processing/in", "S3DataType": "S3Prefix",
              "S3InputMode": "File"}  # fmt: skip
    target = {"S3Uri": "s3://contract/upper", "LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"}
    return make.processing(
        name,
        ProcessingInputs=[{"InputName": "in", "S3Input": source}],
        ProcessingOutputConfig={"Outputs": [{"OutputName": "out", "S3Output": target}]},
        Environment=environment,
    )


def test_a_processing_job_reads_its_inputs_and_writes_its_outputs(own: Own) -> None:
    own.put("s3://contract/texts/a.txt", "quiet")
    own.call("CreateProcessingJob", _processing("job", MESSAGE="two words"))
    job = own.ended("ProcessingJob", "job")
    assert (job["ProcessingJobStatus"], job["ExitMessage"]) == ("Completed", "two words")
    assert own.read("s3://contract/upper/a.txt") == b"QUIET"


def test_a_processing_job_reads_the_objects_that_a_manifest_names_and_no_others(own: Own) -> None:
    for name in ("a.txt", "b.txt", "left.txt"):
        own.put(f"s3://contract/captured/{name}", name)
    own.put("s3://contract/list", json.dumps([{"prefix": "s3://contract/captured/"}, "a.txt", "left.txt"]))
    request = _processing("job", MESSAGE="m")
    request["ProcessingInputs"][0]["S3Input"] |= {"S3Uri": "s3://contract/list", "S3DataType": "ManifestFile"}
    own.call("CreateProcessingJob", request)
    job = own.ended("ProcessingJob", "job")
    assert job["ProcessingJobStatus"] == "Completed", job
    assert own.read("s3://contract/upper/a.txt") == b"A.TXT"
    assert own.read("s3://contract/upper/left.txt") == b"LEFT.TXT"
    with pytest.raises(FileNotFoundError):
        own.read("s3://contract/upper/b.txt")


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("[", "is not JSON"),
        ("{}", 'must begin with {"prefix"'),
        ('[{"prefix": "s3://contract/"}]', "at least one object"),
        ('[{"prefix": "s3://contract/"}, {}]', "each as a string"),
        ('[{"prefix": "s3://contract/"}, "../secret"]', "leads outside"),
        (None, "Failed to download the manifest"),
    ],
)
def test_a_manifest_that_is_none_fails_the_job_with_the_reason(own: Own, manifest: str | None, words: str) -> None:
    if manifest is not None:
        own.put("s3://contract/list", manifest)
    request = _processing("job", MESSAGE="m")
    request["ProcessingInputs"][0]["S3Input"] |= {"S3Uri": "s3://contract/list", "S3DataType": "ManifestFile"}
    own.call("CreateProcessingJob", request)
    job = own.ended("ProcessingJob", "job")
    assert job["ProcessingJobStatus"] == "Failed"
    assert words in job["FailureReason"]


def test_a_processing_job_that_exits_with_an_error_fails_with_its_message(own: Own) -> None:
    own.put("s3://contract/texts/a.txt", "quiet")
    own.call("CreateProcessingJob", _processing("job", MESSAGE="no disk", EXIT="4"))
    job = own.ended("ProcessingJob", "job")
    assert job["ProcessingJobStatus"] == "Failed"
    assert "no disk, exit code: 4" in job["FailureReason"]


def test_a_transform_job_scores_every_object_beside_its_key(own: Own) -> None:
    own.call("CreateModel", make.model("contract-model"))
    own.put("s3://contract/batch/2024/a.csv", "1\n2\n")
    own.put("s3://contract/batch/b.csv", "3\n")
    own.call("CreateTransformJob", make.transform("job", BatchStrategy="SingleRecord"))
    job = own.ended("TransformJob", "job")
    assert job["TransformJobStatus"] == "Completed", job
    lines = own.read("s3://contract/scored/2024/a.csv.out").splitlines()
    assert [json.loads(line)["body"] for line in lines] == ["1\n", "2\n"]
    assert own.read("s3://contract/scored/b.csv.out")
    own.put("s3://contract/batch/b.csv", "4\n")
    own.call("CreateTransformJob", make.transform("again", BatchStrategy="SingleRecord"))
    own.ended("TransformJob", "again")
    assert json.loads(own.read("s3://contract/scored/b.csv.out"))["body"] == "4\n"


def test_a_transform_job_names_the_object_and_lines_that_the_model_refuses(own: Own) -> None:
    own.call("CreateModel", make.model("contract-model"))
    own.put("s3://contract/batch/a.csv", "bad")
    own.call("CreateTransformJob", make.transform("job"))
    job = own.ended("TransformJob", "job")
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == "ClientError: See job logs for more information"
    told = [text.split(":[sagemaker logs]: ")[1] for _, stream, text in own.around.lines if "data-log" in stream]
    assert told[1:4] == [f"contract/batch/a.csv: {text}" for text in ("ClientError: 400", "Lines 1 to 1", "Message:")]
    assert '"body": "bad"' in told[4]


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_a_tuning_job_tries_and_keeps_the_best(own: Own, strategy: str) -> None:
    request = make.tuning("tune", HyperParameterTuningJobConfig__Strategy=strategy)
    own.call("CreateHyperParameterTuningJob", request)
    job = own.ended("HyperParameterTuningJob", "tune")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 3
    listed = own.call("ListTrainingJobsForHyperParameterTuningJob", {"HyperParameterTuningJobName": "tune"})
    scores = {
        item["TrainingJobName"]: item["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        for item in listed["TrainingJobSummaries"]
    }
    assert job["BestTrainingJob"]["TrainingJobName"] == min(scores, key=scores.__getitem__)


def test_lists_are_paged_and_filtered(own: Own) -> None:
    for number in range(3):
        own.call("CreateTrainingJob", make.training(f"job-{number}"))
        own.ended("TrainingJob", f"job-{number}")
    page = own.call("ListTrainingJobs", {"MaxResults": 2, "SortBy": "Name", "SortOrder": "Ascending"})
    rest = own.call(
        "ListTrainingJobs",
        {"MaxResults": 2, "SortBy": "Name", "SortOrder": "Ascending", "NextToken": page["NextToken"]},
    )
    names = [item["TrainingJobName"] for part in (page, rest) for item in part["TrainingJobSummaries"]]
    assert names == ["job-0", "job-1", "job-2"]
    for never in ({"StatusEquals": "Failed"}, {"WarmPoolStatusEquals": "Available"}, {"NameContains": "other"}):
        assert own.call("ListTrainingJobs", never)["TrainingJobSummaries"] == []


def test_a_job_that_is_created_between_two_pages_neither_repeats_nor_hides_another(own: Own) -> None:
    def page(**options: Any) -> tuple[list[str], dict[str, str]]:
        answer = own.call("ListProcessingJobs", {"MaxResults": 2, "SortOrder": "Descending", **options})
        token = {"NextToken": answer["NextToken"]} if "NextToken" in answer else {}
        return [job["ProcessingJobName"] for job in answer["ProcessingJobSummaries"]], token

    for number in range(5):
        own.call("CreateProcessingJob", make.processing(f"job-{number}"))
    first, token = page()
    own.call("CreateProcessingJob", make.processing("late"))
    second, token = page(**token)
    third, token = page(**token)
    assert [*first, *second, *third] == [f"job-{number}" for number in (4, 3, 2, 1, 0)]
    assert token == {}


def misfits(shape: Any, value: Any, path: str) -> list[str]:
    """Return where an answer is not what the service model promises: members missing or unknown."""
    if shape.type_name == "structure":
        found = [f"{path}.{name} missing" for name in shape.required_members if name not in value]
        found += [f"{path}.{name} unknown" for name in value if name not in shape.members]
        known = [name for name in value if name in shape.members]
        return found + [each for name in known for each in misfits(shape.members[name], value[name], f"{path}.{name}")]
    if shape.type_name == "list":
        return [each for item in value for each in misfits(shape.member, item, f"{path}[]")]
    return []


def test_descriptions_and_lists_hold_what_the_service_model_promises(own: Own) -> None:
    own.call("CreateModel", make.model("contract-model"))
    own.put("s3://contract/batch/a.csv", "1\n")
    own.put("s3://contract/texts/a.txt", "quiet")
    requests = {
        "TrainingJob": make.training("job", Environment={"STEPS": "3"}, **SPOT),
        "ProcessingJob": _processing("job"),
        "TransformJob": make.transform("job"),
        "HyperParameterTuningJob": make.tuning("job"),
    }
    answers: list[tuple[str, dict[str, Any]]] = []

    def look(kind: str) -> None:
        name = {f"{kind}Name": "job"}
        answers.append((f"Describe{kind}", own.call(f"Describe{kind}", name)))
        answers.append((f"List{kind}s", own.call(f"List{kind}s", {})))
        if kind == "HyperParameterTuningJob":
            children = "ListTrainingJobsForHyperParameterTuningJob"
            answers.append((children, own.call(children, name)))
            for child in answers[-1][1]["TrainingJobSummaries"]:
                described = own.call("DescribeTrainingJob", {"TrainingJobName": child["TrainingJobName"]})
                answers.append(("DescribeTrainingJob", described))

    for kind, request in requests.items():
        own.call(f"Create{kind}", request)
        look(kind)
        own.ended(kind, "job")
        look(kind)
    model = service_model()
    found = {
        misfit
        for operation, answer in answers
        for misfit in misfits(model.operation_model(operation).output_shape, answer, operation)
    }
    # The model calls it required, but there is none before the upload.
    assert found == {"DescribeTrainingJob.ModelArtifacts missing"}
