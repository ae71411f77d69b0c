"""A model that is carried is held to the champion there by the gate's own rule, on paired resamples of the same rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml

from passerelle.contracts.container import EvaluateResult, Resampled
from passerelle.contracts.runs import RunRecord
from passerelle.domain.carrying import compare
from passerelle.domain.project import load_project
from tests.e2e.projects import project_document
from tests.unit.training.test_segments import COUNT, model, period

#: Confidence 0.8, at most 0.01 worse.
PROJECT = load_project(yaml.safe_dump(project_document("p-x", "binary")), source="p")
SEEN = np.asarray(["free"] * COUNT, dtype=object)


def evaluated(score: float, noise: Any = 0.0, *, draws: str = "same", metric: str = "roc_auc") -> EvaluateResult:
    scores = tuple((score + np.broadcast_to(noise, 200)).tolist())
    return EvaluateResult(status="passed", candidate="m", metric=metric, test_metrics={metric: score}, checks=(),
                          resampled=Resampled(draws=draws, scores=scores))  # fmt: skip


def champion_of(result: EvaluateResult) -> RunRecord:
    gate = result.model_dump(mode="json", include={"metric", "test_metrics"})
    moment = "2026-01-01T00:00:00+00:00"
    return RunRecord(project="p-x", run_id="r0", attempt=1, status="succeeded", created_at=moment, updated_at=moment,
                     dataset_id="d", gate=gate)  # fmt: skip


def carried(ours: EvaluateResult, theirs: EvaluateResult, *, judged: bool = True) -> EvaluateResult:
    return compare(PROJECT, ours, "d", champion_of(theirs), theirs if judged else None)


NOISE = np.random.default_rng(2).normal(0, 0.05, 200)


def test_a_score_within_the_margin_is_refused_where_its_resamples_are_not_sure_of_it() -> None:
    unsure = evaluated(0.795, NOISE)
    assert carried(unsure, evaluated(0.8), judged=False).status == "passed"
    found = carried(unsure, evaluated(0.8))
    assert found.status == "refused"
    assert "sure (required 80 %) that it is at most 0.01 worse" in found.reasons[0]
    assert "95 % interval" in found.reasons[0]


def test_what_makes_rows_hard_for_both_says_nothing_of_either() -> None:
    """Each score alone is as uncertain as above; they vary together."""
    found = carried(evaluated(0.795, NOISE), evaluated(0.8, NOISE))
    assert found.status == "passed"
    assert "100.0 % sure" in found.checks[-1].message


def test_a_margin_is_read_the_other_way_round_where_less_is_better() -> None:
    regression = load_project(yaml.safe_dump(project_document("p-x", "regression")), source="p")
    better, worse = (evaluated(score, metric="rmse") for score in (4.0, 5.0))
    assert compare(regression, better, "d", champion_of(worse), worse).status == "passed"
    assert compare(regression, worse, "d", champion_of(better), better).status == "refused"


@pytest.mark.parametrize("judged", [None, evaluated(0.8, draws="another split")])
def test_without_paired_resamples_the_scores_decide_and_it_is_said(judged: EvaluateResult | None) -> None:
    for score, status in ((0.795, "passed"), (0.78, "refused")):
        found = compare(PROJECT, evaluated(score, NOISE), "d", champion_of(evaluated(0.8)), judged)
        assert found.status == status
        assert "by the scores alone, as the two were not resampled alike" in found.checks[-1].message


def test_evaluations_of_the_same_rows_are_drawn_alike_and_those_of_others_are_not() -> None:
    rows = period({"plan": SEEN}, ["plan"])
    first, second = (rows.recorded(rows.scored(model(noise)).resampled) for noise in (1.0, 2.0))
    assert first.draws == second.draws
    assert len(first.scores) == len(second.scores) == 200
    assert first.scores != second.scores
    others = [period({"plan": SEEN}, ["plan"], days=30), replace(rows, weights=rows.weights[::-1]),
              replace(rows, chosen=rows.chosen[::-1])]  # fmt: skip
    for other in others:
        assert other.recorded(np.zeros(3)).draws != first.draws
    assert rows.recorded(np.asarray([np.nan, 0.5])).scores == (None, 0.5)
