"""A run that was really trained, in the words in which MLflow is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from passerelle.aws.experiment_log import Registered
from passerelle.aws.run_story import RunStory
from passerelle.contracts.container import (
    USAGE_FILE,
    CandidateResult,
    EvaluateResult,
    GateCheck,
    MachineUsage,
    PrepareResult,
    Problem,
    SplitPart,
    TrainResult,
)
from passerelle.contracts.study import Study, TrialRecord, TrialStage

DATASET, COMMIT, LOCK, RUN = "06fb9db842705a0c", "0a1b2c3d4e5f", "5f4e3d2c1b0a", "r20261121050000-0a1b2c"
DIGEST = "sha256:" + "ab" * 32
LEAK = Problem(code="suspected_leakage", severity="warning", column="visits", rule="r",
               message="column 'visits' alone tells 'churned'", remedy="Set role: leakage.")  # fmt: skip


def make_study() -> Study:
    """Three trials, one of each end."""
    states: tuple[Any, ...] = ("finished", "pruned", "failed")
    trials = tuple(
        TrialRecord(number=number, candidate="logistic", params={"C": 0.5 + number}, state=state, origin="sampled",
                    score=None if state == "failed" else 0.9 - number / 10, rounds=3, seconds=1.5,
                    stages=(TrialStage(step=1, rounds=1, score=0.6), TrialStage(step=2, rounds=3, score=0.7)),
                    error="ValueError: no" if state == "failed" else None)
        for number, state in enumerate(states)
    )  # fmt: skip
    return Study(metric="roc_auc", greater_is_better=True, sampler="tpe", pruner="asha", trials=trials, best=0)


@dataclass
class Told:
    """What was told, where, and the server's answers."""

    base: Path
    story: RunStory
    registered: Registered
    refused: Registered
    client: MlflowClient
    uri: str

    @property
    def experiment(self) -> str:
        found = self.client.get_experiment_by_name(f"flights-{self.story.environment}")
        assert found is not None
        return str(found.experiment_id)

    def runs(self, level: str) -> list[Any]:
        query = f"tags.`passerelle.level` = '{level}' and tags.`passerelle.run` = '{self.story.identity}'"
        return list(self.client.search_runs([self.experiment], query))


def make_story(base: Path, environment: str) -> RunStory:
    """A training job's output in `base`, with a candidate that failed, a suspected leak, and a verdict."""
    output = base / "output" / "data"
    trained = TrainResult.model_validate_json((output / "result.json").read_text())
    broken = CandidateResult(name="broken", status="failed", complexity=3, seconds=0.1, error="ValueError: no")
    split = {
        part: SplitPart(uri=f"s3://curated/flights/datasets/d/{part}/", rows=rows, start="2024-01-01T00:00:00Z")
        for part, rows in (("train", 350), ("validation", 75), ("test", 75))
    }
    check = GateCheck(name="baseline", passed=True, value=0.9, required=0.5, message="0.9 against 0.5")
    return RunStory(
        environment=environment, project="flights", run_id=RUN, attempt=1, git_sha=COMMIT, lock_hash=LOCK,
        dataset=PrepareResult(status="accepted", dataset_id=DATASET, contract_hash="c1", files=(), split=split,
                              label_summary={"share_positive": 0.4}),
        training=trained.model_copy(
            update={"candidates": (*trained.candidates, broken), "study": make_study(), "warnings": (LEAK,)}
        ),
        evaluation=EvaluateResult(status="passed", candidate="logistic", metric="roc_auc",
                                  test_metrics={"roc_auc": 0.9}, baseline_metrics={"roc_auc": 0.5}, checks=(check,)),
        training_folder=output, evaluation_folder=output / "candidates" / "logistic" / "plots",
        model_data_url="s3://models/model.tar.gz", model_name=f"flights-{environment}",
        image_uri=f"111122223333.dkr.ecr.eu-west-3.amazonaws.com/passerelle-training@{DIGEST}", cost_usd=0.02,
        execution_arn="arn:e", execution_url="https://console/e",
        usage=MachineUsage.model_validate_json((output / USAGE_FILE).read_text()),
    )  # fmt: skip
