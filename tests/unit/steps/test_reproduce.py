"""A run is trained again from its record by one command: equal to the last bit, or with the reason why not."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from cli.commands.reproduce import reproduce
from cli.failures import NOT_REPRODUCED, exit_code
from cli.session import Session
from passerelle.aws.deployed import DeployedPlatform
from passerelle.aws.objects import Objects
from passerelle.contracts import naming, zones
from passerelle.contracts.container import THREADS, PrepareResult, SplitPart
from passerelle.contracts.runs import RunOrigin, RunRecord, StageRecord
from passerelle.errors import BundleError, InputError, NotFoundError
from passerelle.steps import reproduce as steps
from tests.unit.training.test_train import job
from training.bundle import load_bundle
from training.compare import compare
from training.train.main import main

from .world import MOMENT, Aws

JOB = "flights-r1-train-1"


def _packed(folder: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    return packed.getvalue()


class Trained:
    """A run whose training job has really run, and left in S3 what SageMaker leaves."""

    def __init__(self, aws: Aws, base: Path) -> None:
        self.aws, self.base = aws, base
        output = f"{zones.training_output_prefix('flights')}/{JOB}/output"
        for name, folder in (("model", base / "model"), ("output", base / "output" / "data")):
            self.put("models", f"{output}/{name}.tar.gz", _packed(folder))
        split = {}
        for part in ("train", "validation", "test"):
            prefix, rows = f"{zones.dataset_prefix('flights', 'd')}/{part}", 0
            for path in (base / "input" / "data" / part).rglob("*.parquet"):
                self.put("curated", f"{prefix}/{path.name}", path.read_bytes())
                rows += _rows(path)
            split[part] = SplitPart(uri=f"s3://{aws.buckets['curated']}/{prefix}/", rows=rows)
        prepared = PrepareResult(status="accepted", dataset_id="d", contract_hash="c", files=(), split=split)
        self.put(
            "curated",
            f"{zones.result_prefix('flights', 'r1', 1, 'prepare')}/result.json",
            prepared.model_dump_json().encode(),
        )
        (archive,) = (base / "input" / "data" / "project").glob("*.zip")
        self.put("curated", "assets/project.zip", archive.read_bytes())
        self.bundle_key, self.test_key = f"{output}/model.tar.gz", f"{zones.dataset_prefix('flights', 'd')}/test"
        sha256 = Objects(aws.s3).sha256(aws.buckets["models"], self.bundle_key)
        stage = StageRecord(stage="train", status="done", started_at=MOMENT, ended_at=MOMENT, job_name=JOB)
        self.record = aws.begin_run(
            "r1", status="succeeded", stages=(stage,), dataset_id="d", chosen="logistic",
            project_uri=f"s3://{aws.buckets['curated']}/assets/project.zip", artefacts={"train/model.tar.gz": sha256},
        )  # fmt: skip
        for zone, bucket in aws.buckets.items():
            name = naming.resource_parameter(aws.environment, f"{zone}-bucket")
            boto3.client("ssm").put_parameter(Name=name, Value=bucket, Type="String", Overwrite=True)
        name = naming.resource_parameter(aws.environment, "runs-table")
        boto3.client("ssm").put_parameter(Name=name, Value=aws.runs_table, Type="String", Overwrite=True)

    def put(self, zone: str, key: str, body: bytes) -> None:
        self.aws.s3.put_object(Bucket=self.aws.buckets[zone], Key=key, Body=body)

    def source(self) -> steps.Source:
        return steps.Source(Objects(self.aws.s3), self.aws.buckets["models"], self.aws.buckets["curated"])

    def lay_out(self, folder: Path, **changes: Any) -> steps.Laid:
        return steps.lay_out(self.source(), self.record.model_copy(update=changes), folder)


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training job that has run."""
    folder = job(tmp_path_factory.mktemp("trained"), "binary", ["baseline", "logistic"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_BASE_DIR", str(folder))
        assert main() == 0
    return folder


@pytest.fixture
def trained(aws: Aws, base: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    monkeypatch.setattr(Session, "platform", DeployedPlatform(aws.environment, boto3.Session()))
    return Trained(aws, base)


def test_one_command_trains_the_chosen_model_again_and_its_predictions_are_equal(
    trained: Trained, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    done = CliRunner().invoke(reproduce, ["r1", "--keep", str(kept)], obj=Session(as_json=True))
    assert done.exit_code == 0, (done.output, done.exception)
    answer = json.loads(done.stdout)
    assert (answer["candidate"], answer["equal"], answer["different"], answer["largest"]) == ("logistic", True, 0, 0.0)
    assert answer["rows"] > 50
    assert answer["differences"] == [
        {"what": name, "then": "unknown", "here": here}
        for name, here in (("commit", steps.git_sha()), ("lock", steps.lock_hash()))
        if here != "unknown"
    ]
    again = load_bundle(kept / "model").metadata
    assert (again.candidate, again.seed, again.run_id) == ("logistic", 7, "r")
    assert not (kept / "output" / "data" / "candidates" / "baseline").exists(), "only the chosen one is trained"


def test_another_model_is_told_by_how_much_it_differs(base: Path) -> None:
    chosen, other = (load_bundle(base / "checkpoints" / name / "bundle") for name in ("logistic", "baseline"))
    found = compare(chosen, other, base / "input" / "data" / "test")
    assert not found.equal
    assert found.different == found.rows
    assert 0 < found.decisions < found.rows
    assert 0 < found.largest <= 1
    assert compare(chosen, chosen, base / "input" / "data" / "test").equal


def test_predictions_that_differ_end_the_command_with_its_own_exit_code_and_the_reason(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = steps.Comparison(rows=9, output="probabilities", equal=False, different=3, decisions=1, largest=0.25)
    monkeypatch.setattr(steps, "train_again", lambda laid: other)
    monkeypatch.setattr(steps, "lock_hash", lambda: "another lock")
    done = CliRunner().invoke(reproduce, ["r1"], obj=Session())
    assert exit_code(done.exception) == NOT_REPRODUCED  # type: ignore[arg-type]
    assert "differ in 3 of 9 test rows, by at most 0.25; 1 rows are decided otherwise" in str(done.exception)
    assert "lock" in str(done.exception)
    assert "lock: unknown then, another lock here" in done.output


def test_the_job_is_laid_out_with_the_seed_and_the_threads_of_the_run(trained: Trained, tmp_path: Path) -> None:
    laid = trained.lay_out(tmp_path / "ml")
    parameters = json.loads((tmp_path / "ml" / "input" / "config" / "hyperparameters.json").read_text())
    assert (parameters["seed"], parameters["dataset_id"]) == ("7", "d")
    assert parameters[THREADS] == laid.metadata.machine["threads"]
    environment = steps._environment(laid)
    assert environment["OMP_NUM_THREADS"] == laid.metadata.machine["openmp_threads"]
    assert not [name for name in environment if name.startswith("AWS_")]


def test_a_dataset_that_is_gone_is_named_with_the_remedy(trained: Trained, tmp_path: Path) -> None:
    for item in trained.aws.s3.list_objects_v2(Bucket=trained.aws.buckets["curated"], Prefix=trained.test_key)[
        "Contents"
    ]:
        trained.aws.s3.delete_object(Bucket=trained.aws.buckets["curated"], Key=item["Key"])
    with pytest.raises(NotFoundError, match=r"Dataset d of run r1 is gone \(s3://.*/test/ holds no Parquet"):
        trained.lay_out(tmp_path)


def test_a_dataset_that_was_split_anew_since_is_not_taken_for_the_runs(trained: Trained, tmp_path: Path) -> None:
    (path,) = (trained.base / "input" / "data" / "validation").rglob("*.parquet")
    trained.put("curated", f"{trained.test_key}/more.parquet", path.read_bytes())
    with pytest.raises(InputError, match="written again since, with another split"):
        trained.lay_out(tmp_path)


def test_a_project_archive_that_is_gone_is_named_with_the_remedy(trained: Trained, tmp_path: Path) -> None:
    trained.aws.s3.delete_object(Bucket=trained.aws.buckets["curated"], Key="assets/project.zip")
    with pytest.raises(NotFoundError, match="archive of project flights that run r1 trained is gone: s3://"):
        trained.lay_out(tmp_path)


def test_a_bundle_that_was_changed_since_is_nothing_to_compare_with(trained: Trained, tmp_path: Path) -> None:
    trained.put("models", trained.bundle_key, b"another")
    with pytest.raises(BundleError, match="its run recorded"):
        trained.lay_out(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chosen": None, "status": "rejected"}, "is rejected and has no model"),
        ({"project_uri": None}, "recorded by an earlier version"),
        (
            {"origin": RunOrigin(environment="staging", account="1", attempt=1, image_uri="i")},
            "--env staging reproduce r1",
        ),
    ],
)
def test_a_run_that_cannot_be_trained_again_says_why(
    trained: Trained, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        trained.lay_out(tmp_path, **changes)


def test_a_folder_that_is_not_empty_is_not_written_to(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    done = CliRunner().invoke(reproduce, ["r1", "--keep", str(tmp_path)], obj=Session())
    assert isinstance(done.exception, InputError)
    assert "not an empty folder" in str(done.exception)


def test_a_record_of_before_is_still_read() -> None:
    text = json.dumps(
        {"project": "p", "run_id": "r", "attempt": 1, "status": "running", "created_at": "", "updated_at": ""}
    )
    assert RunRecord.model_validate_json(text).project_uri is None
