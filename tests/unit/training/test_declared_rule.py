"""The declared rule competes as a candidate: same rows, same metric, a bundle that serves it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from passerelle.domain.candidates.frame import typed_frame
from tests.unit.training.fitting import make_context, make_project, make_rows
from training.bundle import load_bundle
from training.serve.scorer import Scorer
from training.train.candidate import train_candidate
from training.train.fit import fit_candidate
from training.train.reduce import with_features

RULES = {
    "binary": ["dose >= 8 -> 0.7", "plan in [a, b] -> 0.1", "otherwise -> 0.05"],
    "multiclass": ["dose >= 6.5 -> true", "dose >= 3 -> mid", "otherwise -> low"],
    "regression": ["plan == a -> `dose`", "visits >= 10 -> 2.5", "otherwise -> 3"],
}


@pytest.mark.parametrize("task", list(RULES))
def test_a_rule_is_scored_and_served_like_a_model(tmp_path: Path, task: str) -> None:
    context = make_context(make_project(task, rule=RULES[task], class_weight=None), 600)
    if task == "binary":
        context = with_features(context, ["dose", "plan"])
    bundle, result, _ = train_candidate("rule", 1, context, tmp_path)
    assert result.status == "trained"
    assert result.params["model"] in ("RuleClassifier", "RuleRegressor")
    baseline = fit_candidate("baseline", context)
    columns, _ = make_rows(task, 50, seed=4)
    frame = typed_frame(columns, context.signature.inputs)
    scorer = Scorer(load_bundle(tmp_path, plan_suffices=True))
    scorer.prove()
    answer = scorer.score({column.name: columns[column.name] for column in context.signature.inputs})
    if task == "binary":
        assert result.validation_metrics["roc_auc"] > 0.7
        shares = np.asarray(answer["probabilities"])[:, 1]
        assert set(shares) == {0.7, 0.1, 0.05}
        np.testing.assert_array_equal(shares, bundle.pipeline.predict_proba(frame)[:, 1])
    elif task == "multiclass":
        assert answer["predictions"][0] in ("low", "mid", "true")
        assert result.validation_metrics["balanced_accuracy"] > 0.45
    else:
        assert len(set(answer["predictions"])) > 5
        assert baseline.validation.predictions.std() == 0


def test_a_rule_whose_column_preparation_dropped_says_so() -> None:
    context = with_features(make_context(make_project("binary", rule=RULES["binary"]), 300), ["dose"])
    with pytest.raises(ValueError, match=r"training\.rule reads plan, which preparation dropped"):
        fit_candidate("rule", context)


def test_a_rule_that_answers_an_unknown_class_says_so() -> None:
    context = make_context(make_project("multiclass", rule=["dose > 1 -> lo", "otherwise -> mid"]), 300)
    with pytest.raises(ValueError, match="answers 'lo', which is no class of train: low, mid, true"):
        fit_candidate("rule", context)
