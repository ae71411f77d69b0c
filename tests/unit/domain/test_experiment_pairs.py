"""The same requests are found in what both variants captured, whatever their form and ids."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np
import pytest
import yaml

from passerelle.domain.experiment.pairs import Pairing
from passerelle.domain.experiment.ranks import quantile_bounds
from passerelle.domain.predictions.exchange import Exchange, Side
from passerelle.domain.project import Project, load_project
from tests.e2e.projects import project_document

JSON, CSV, LINES = "application/json", "text/csv", "application/jsonlines"


def project(task: str = "binary", **data: Any) -> Project:
    document = project_document("p-x", task)
    document["data"] |= data
    return load_project(yaml.safe_dump(document), source="project.yaml")


def exchange(asked: Any, answered: Any, kind: str = JSON, number: int = 0) -> Exchange:
    """What was asked and answered; each has an id of its own, as copies may."""
    bodies = (one.encode() if isinstance(one, str) else json.dumps(one).encode() for one in (asked, answered))
    sides = [Side(content_type=kind, body=body) for body in bodies]
    return Exchange(inference_id=f"id-{number}-{id(sides)}", moment=datetime(2026, 11, 22), asked=sides[0],
                    answered=sides[1])  # fmt: skip


def paired(task: str, champion: list[Exchange], challenger: list[Exchange], threshold: float | None = 0.5) -> Any:
    pairing = Pairing(project(task))
    pairing.add_champion(champion, threshold)
    pairing.add_challenger(challenger, threshold)
    return pairing.pairs()


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        (JSON, [{"predictions": [0, 1], "probabilities": [[0.9, 0.1], [0.2, 0.8]]},
                {"predictions": [0, 1], "probabilities": [[0.6, 0.4], [0.8, 0.2]]}]),
        (CSV, ["0,0.9,0.1\n1,0.2,0.8\n", "0,0.6,0.4\n1,0.8,0.2\n"]),
        (LINES, ['{"prediction": 0, "probabilities": [0.9, 0.1]}\n{"prediction": 1, "probabilities": [0.2, 0.8]}',
                 '{"prediction": 0, "probabilities": [0.6, 0.4]}\n{"prediction": 1, "probabilities": [0.8, 0.2]}']),
    ],
)  # fmt: skip
def test_every_form_of_answer_gives_decisions_by_the_threshold_and_scores(kind: str, answers: list[Any]) -> None:
    theirs, ours = ([exchange("x", answer, kind)] for answer in answers)
    found = paired("binary", theirs, ours, threshold=0.3)
    assert found.champion.scores.tolist() == [0.1, 0.8]
    assert found.challenger.scores.tolist() == [0.4, 0.2]
    assert found.champion.decisions.tolist() == ["False", "True"]
    assert found.challenger.decisions.tolist() == ["True", "False"]
    assert (found.rows, found.unpaired, found.unreadable) == (2, 0, 0)


def test_the_threshold_that_an_answer_names_and_its_own_decisions_win() -> None:
    answer = {"predictions": [0], "probabilities": [[0.6, 0.4]]}
    named, decided = answer | {"threshold": 0.4}, answer | {"threshold": 0.4, "decisions": [False]}
    found = paired("binary", [exchange("x", named)], [exchange("x", decided)])
    assert (found.champion.decisions.tolist(), found.challenger.decisions.tolist()) == (["True"], ["False"])


def test_a_regression_has_scores_and_several_classes_have_decisions() -> None:
    numbers = paired("regression", [exchange("x", "1.5\n", CSV)], [exchange("x", "2\n", CSV)])
    assert (numbers.champion.scores.tolist(), numbers.champion.decisions) == ([1.5], None)
    classes = paired("multiclass", [exchange("x", {"predictions": ["a"], "probabilities": [[0.7, 0.2, 0.1]]})],
                     [exchange("x", {"predictions": ["b"], "probabilities": [[0.1, 0.8, 0.1]]})])  # fmt: skip
    assert (classes.champion.decisions.tolist(), classes.champion.scores) == (["a"], None)
    assert classes.challenger.decisions.tolist() == ["b"]


def test_requests_of_one_alone_are_counted_and_refusals_and_ruins_are_left_out() -> None:
    good = {"predictions": [1], "probabilities": [[0.1, 0.9]]}
    theirs = [exchange("x", good), exchange("refused", {"error": {"code": "null"}}), exchange("ruin", "[")]
    ours = [
        exchange("x", good), exchange("x", good), exchange("alone", good), exchange("refused", {"error": {}}),
        exchange("ruin", good), exchange("x", {"predictions": [1, 1], "probabilities": [[0.1, 0.9], [0.1, 0.9]]}),
    ]  # fmt: skip
    found = paired("binary", theirs, ours)
    assert (found.rows, found.unpaired, found.unreadable) == (2, 3, 1)


def test_rows_of_an_entity_and_of_a_request_that_names_none_vary_together() -> None:
    document = project_document("p-x", "binary")
    name = document["data"]["columns"][0]["name"]
    known = project("binary", entity_id=[name])
    body = {"dataframe_records": [{name: 7}, {name: 8}, {name: 7}]}
    answer = {"predictions": [1, 1, 1], "probabilities": [[0.1, 0.9]] * 3}
    silent = {"predictions": [1, 1], "probabilities": [[0.1, 0.9]] * 2}
    pairing = Pairing(known)
    for add in (pairing.add_champion, pairing.add_challenger):
        add([exchange(body, answer), exchange({"dataframe_records": [{}, {}]}, silent)], 0.5)
    entities = pairing.pairs().entities
    assert entities[0] == entities[2] != entities[1]
    assert entities[3] == entities[4]
    assert len(np.unique(entities)) == 3


def test_nothing_captured_is_no_pair() -> None:
    assert paired("binary", [], []).rows == 0


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("count", [100, 368, 2_000, 1_000_000])
def test_percentiles_around_a_quantile_hold_it_as_order_statistics_do(count: int, share: float) -> None:
    from scipy import stats

    lower, upper = quantile_bounds(count, share)
    first = round(lower * count) if lower is not None else 0
    last = round(upper * count) if upper is not None else count + 1
    assert stats.binom.cdf(last - 1, count, share) - stats.binom.cdf(first - 1, count, share) >= 0.945
    assert first >= stats.binom.ppf(0.01, count, share)
    assert last <= stats.binom.ppf(0.99, count, share) + 1


def test_the_slowest_hundredth_of_few_answers_has_no_upper_bound() -> None:
    assert quantile_bounds(300, 0.99)[1] is None
    assert quantile_bounds(2, 0.5)[0] is None
