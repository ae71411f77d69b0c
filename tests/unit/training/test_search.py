"""A training job that tunes: the best trial becomes a candidate, and the result tells every trial."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from passerelle.contracts.study import WARM_START
from passerelle.domain.project.training import Training
from passerelle.domain.project.tuning import Tuning
from passerelle.domain.tuning.space import SPACES
from tests.unit.training.test_train import job, train
from training.train.search import budget_of, earlier_points


def _tuned(base: Path, tuning: dict[str, Any], **parameters: str) -> Path:
    archive = base / "input" / "data" / "project" / "p.zip"
    document = yaml.safe_load(zipfile.ZipFile(archive).read("project.yaml"))
    document["training"]["tuning"] = tuning
    with zipfile.ZipFile(archive, "w") as changed:
        changed.writestr("project.yaml", yaml.safe_dump(document))
    path = base / "input" / "config" / "hyperparameters.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | parameters))
    return base


def test_a_tuned_job_trains_its_best_trial_and_tells_every_trial(tmp_path: Path) -> None:
    earlier = [{"candidate": "logistic", "params": {"C": "0.031"}}]
    base = _tuned(
        job(tmp_path, "binary", ["baseline", "logistic"]),
        {"trials": 4, "minutes": 2},
        **{WARM_START: json.dumps(earlier)},
    )
    result, output = train(base)
    study = result.study
    assert study is not None
    assert study.ended_by == "trials"
    begun = sorted(study.trials, key=lambda trial: trial.number)
    assert [(trial.origin, trial.params["C"]) for trial in begun[:2]] == [("usual", 0.5), ("earlier", 0.031)]
    assert study.usd is not None
    tuned = next(item for item in result.candidates if item.name == "logistic-tuned")
    assert (tuned.kind, tuned.status) == ("logistic", "trained")
    assert tuned.overrides == study.ranked()[0].params
    assert tuned.validation_metrics[result.metric] == pytest.approx(study.ranked()[0].score)
    assert output.count('"event": "trial_ended"') == 4


def test_a_budget_in_usd_is_of_the_instance_that_the_job_got(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    tuning, training = Tuning(usd=1.0), Training(instance_type="ml.m5.xlarge")
    declared = budget_of(tuning, training).hourly_usd
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    (config / "resourceconfig.json").write_text(json.dumps({"current_instance_type": "ml.m5.4xlarge"}))
    got = budget_of(tuning, training).hourly_usd
    assert declared is not None
    assert got == pytest.approx(4 * declared, rel=0.05)


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"candidate": "xgboost", "params": {"max_depth": "deep"}}]'])
def test_an_earlier_study_that_cannot_be_read_is_passed_over(text: str) -> None:
    assert earlier_points(text, (SPACES["xgboost"],)) == ()


def test_an_earlier_point_of_a_candidate_that_is_no_longer_searched_is_left_out() -> None:
    text = json.dumps([{"candidate": "logistic", "params": {"C": 1}}, {"candidate": "linear", "params": {"alpha": 2}}])
    (point,) = earlier_points(text, (SPACES["linear"],))
    assert point.params == {"alpha": 2.0}
