"""One search space for Optuna and SageMaker, changed by the project; a budget ends with whichever limit comes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from laptop.sagemaker.validation import validate
from passerelle.domain.candidates.pipelines import make_candidate
from passerelle.domain.project import load_project
from passerelle.domain.project.tuning import Tuning
from passerelle.domain.tuning.budget import RUNTIME_SHARE, Budget
from passerelle.domain.tuning.space import (
    SPACES,
    Dimension,
    parameter_ranges,
    spaces,
    stages,
    suggest,
)
from passerelle.errors import PasserelleError
from tests.contract import sagemaker_requests as make

FLIGHTS = Path(__file__).parents[3] / "projects/flights/project.yaml"
PLACE = Dimension("place", "category", "a", values=("a", "b"))


def _project(tuning: dict[str, Any]) -> Any:
    document = yaml.safe_load(FLIGHTS.read_text())
    document["training"]["tuning"] = tuning
    return load_project(yaml.safe_dump(document), source="project.yaml")


def _optuna(dimension: Dimension) -> Any:
    trial = optuna.create_study().ask()
    assert dimension.holds(suggest(trial, dimension, "it"))
    return trial.distributions["it"]


@pytest.mark.parametrize("name", SPACES)
def test_every_space_holds_what_its_model_takes_and_has_untuned(name: str) -> None:
    space, task = SPACES[name], "regression" if name == "linear" else "binary"
    usual = make_candidate(name, task=task, inputs=(), time_parts=(), seed=1, threads=1)[-1].get_params()
    for dimension in space.dimensions:
        assert dimension.name in usual
        assert dimension.holds(dimension.start())
        if name == "logistic":
            assert usual[dimension.name] == dimension.start()
    assert space.rounds is None or space.rounds in usual


@pytest.mark.parametrize("name", SPACES)
def test_a_space_has_the_same_bounds_for_optuna_and_for_sagemaker(name: str) -> None:
    space = SPACES[name]
    ranges = parameter_ranges(space)
    request = make.tuning("t")
    request["HyperParameterTuningJobConfig"]["ParameterRanges"] = ranges
    validate("CreateHyperParameterTuningJob", request)
    told = {item["Name"]: item for items in ranges.values() for item in items}
    for dimension in space.dimensions:
        distribution, item = _optuna(dimension), told[dimension.name]
        ends = (dimension.parse(item["MinValue"]), dimension.parse(item["MaxValue"]))
        assert ends == (distribution.low, distribution.high)
        assert (item["ScalingType"] == "Logarithmic") == distribution.log


def test_categories_are_values_for_both() -> None:
    (space,) = spaces(["logistic"])
    told = parameter_ranges(space.__class__("logistic", (PLACE,)))
    assert told == {"CategoricalParameterRanges": [{"Name": "place", "Values": ["a", "b"]}]}
    assert _optuna(PLACE).choices == ("a", "b")
    assert PLACE.parse("b") == "b"


def test_a_project_changes_ranges_and_keeps_parameters_as_they_are() -> None:
    tuning = _project(
        {"space": {"xgboost": {"max_depth": {"low": 2, "high": 4}, "subsample": False}, "logistic": {"C": False}}}
    ).training.tuning
    found = {space.candidate: space for space in spaces(["logistic", "xgboost"], tuning.overrides())}
    assert set(found) == {"xgboost"}
    names = {dimension.name: dimension for dimension in found["xgboost"].dimensions}
    assert "subsample" not in names
    assert (names["max_depth"].low, names["max_depth"].high, names["max_depth"].start()) == (2, 4, 4)
    assert "learning_rate" in names


@pytest.mark.parametrize(
    ("tuning", "words"),
    [
        ({"candidates": ["xgbost"]}, "did you mean 'xgboost'"),
        ({"space": {"xgboost": {"max_dept": False}}}, "did you mean 'max_depth'"),
        ({"space": {"xgboost": {"max_depth": {"low": 12}}}}, "must be below high"),
        ({"space": {"xgboost": {"learning_rate": {"low": -1}}}}, "above 0"),
        ({"space": {"xgboost": {"max_depth": {"low": 2.5}}}}, "whole numbers"),
        ({"trials": 0}, "training.tuning.trials"),
    ],
)
def test_what_cannot_be_tuned_is_told_with_its_field_and_the_remedy(tuning: dict[str, Any], words: str) -> None:
    with pytest.raises(PasserelleError, match=words) as told:
        _project(tuning)
    assert "training.tuning" in str(told.value)


def test_a_trial_s_stages_rise_to_the_longest_fit() -> None:
    for space in SPACES.values():
        rounds = list(stages(space))
        assert rounds == sorted(rounds)
        assert rounds[-1] == space.most
    assert stages(SPACES["xgboost"]) == {15: 1, 45: 3, 90: 6, 135: 9, 195: 13, 270: 18, 405: 27}
    assert stages(SPACES["logistic"]) == {1: 27}


def test_whichever_limit_comes_first_ends_the_search() -> None:
    budget = Budget(trials=10, minutes=1, usd=0.5, hourly_usd=60.0, max_runtime_minutes=60)
    assert budget.ended(trials=9, seconds=29) is None
    assert budget.ended(trials=10, seconds=1) == "trials"
    assert budget.ended(trials=1, seconds=30) == "usd"
    assert budget.ended(trials=1, seconds=100) == "usd"
    assert Budget(minutes=1, usd=0.5, hourly_usd=6.0).ended(trials=1, seconds=60) == "minutes"
    short = Budget(max_runtime_minutes=10)
    assert short.ended(trials=1, seconds=RUNTIME_SHARE * 600) == "max_runtime_minutes"
    assert budget.cost(60) == 1.0


def test_a_budget_in_usd_is_never_exceeded_for_want_of_a_price() -> None:
    assert Budget(usd=5.0).ended(trials=0, seconds=0.0) == "usd"
    assert Budget(usd=5.0).cost(10) is None


def test_tuning_is_off_unless_the_project_asks_for_it() -> None:
    assert load_project(FLIGHTS.read_text(), source="p").training.tuning is None
    assert Tuning().overrides() == {}
