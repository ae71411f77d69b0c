"""What alarms, what does not, and in which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from passerelle.contracts.bundle import ColumnType
from passerelle.contracts.prediction import DECISION
from passerelle.domain.drift.effect import moved_share
from passerelle.domain.drift.form import LayoutError
from passerelle.domain.drift.judged import Drift, adjusted_p_values, judge
from passerelle.domain.drift.pairs import dependence
from passerelle.domain.drift.profile import count
from passerelle.domain.drift.reference import Reference, make_reference
from passerelle.domain.drift.signal import Signal

Array = npt.NDArray[Any]
TYPES: dict[str, ColumnType] = {"amount": "number", "hour": "integer", "dest": "category", "open": "boolean"}
DESTINATIONS = np.array([f"D{i}" for i in range(100)], object)
SHARES = 1 / np.arange(1, 101) / (1 / np.arange(1, 101)).sum()


def rows(n: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "amount": rng.lognormal(0, 2, n),
        "hour": rng.integers(0, 24, n).astype(float),
        "dest": DESTINATIONS[rng.choice(100, n, p=SHARES)],
        "open": rng.random(n) < 0.1,
    }


REFERENCE = make_reference(rows(10_000, 1), TYPES, ["amount", "hour", "dest"])


def judged(changed: dict[str, Any], n: int = 2_000, seed: int = 2, reference: Reference = REFERENCE) -> Drift:
    return judge(reference, count(reference.layout, rows(n, seed) | changed))


def alarms(drift: Drift) -> set[tuple[str, str]]:
    return {(signal.column, signal.kind) for signal in drift.alarms}


def signal_of(drift: Drift, column: str, kind: str) -> Signal:
    return next(signal for signal in drift.signals if (signal.column, signal.kind) == (column, kind))


def test_a_window_like_the_reference_alarms_in_at_most_five_of_a_hundred() -> None:
    # 99.9 % of the counts of 300 windows that alarm one time in twenty are below 28.
    found = sum(bool(judged({}, n, seed).alarms) for seed in range(100, 200) for n in (50, 400, 5_000))
    assert found < 28


@pytest.mark.parametrize("seed", range(10))
def test_a_heavy_tailed_column_that_grows_by_two_thirds_always_alarms_at_ten_thousand_rows(seed: int) -> None:
    amount = np.random.default_rng(seed).lognormal(0, 2, 10_000) * 1.65
    drift = judged({"amount": amount}, 10_000, seed)
    assert ("amount", "distribution") in alarms(drift)
    assert "above" in signal_of(drift, "amount", "distribution").words


def test_a_shift_that_is_significant_but_not_material_does_not_alarm() -> None:
    n = 200_000
    hour = np.random.default_rng(5).integers(0, 24, n).astype(float)
    hour[: n // 100] = 3.0
    drift = judged({"hour": hour}, n)
    signal = signal_of(drift, "hour", "distribution")
    assert signal.severity == "none"
    assert not signal.alarm


@pytest.mark.parametrize(("column", "alarming"), [(DECISION, True), ("late", False)])
def test_the_models_answers_are_held_to_less_than_its_inputs(column: str, alarming: bool) -> None:
    rng = np.random.default_rng(0)
    reference = make_reference({column: rng.random(20_000) < 0.10}, {column: "boolean"})
    drift = judge(reference, count(reference.layout, {column: rng.random(20_000) < 0.13}))
    assert bool(drift.alarms) == alarming


def test_what_a_column_moves_all_the_time_is_no_news() -> None:
    hour = np.random.default_rng(5).integers(0, 20, 2_000).astype(float)
    quiet = Reference(layout=REFERENCE.layout, profile=REFERENCE.profile, usual={"hour": 0.3})
    assert ("hour", "distribution") in alarms(judged({"hour": hour}))
    assert ("hour", "distribution") not in alarms(judged({"hour": hour}, reference=quiet))


@pytest.mark.parametrize(("beyond", "severity"), [(0.03, "none"), (0.07, "minor"), (0.15, "moderate")])
def test_a_column_that_always_moves_is_judged_by_what_it_moves_beyond_that(beyond: float, severity: str) -> None:
    hour = np.random.default_rng(5).integers(0, 20, 2_000).astype(float)
    moved = signal_of(judged({"hour": hour}), "hour", "distribution").effect.value
    often = Reference(layout=REFERENCE.layout, profile=REFERENCE.profile, usual={"hour": moved - beyond})
    assert signal_of(judged({"hour": hour}, reference=often), "hour", "distribution").severity == severity


def test_values_that_stay_away_have_a_signal_of_their_own() -> None:
    amount = rows(2_000, 2)["amount"]
    amount[::4] = np.nan
    drift = judged({"amount": amount})
    assert alarms(drift) == {("amount", "missing")}
    signal = signal_of(drift, "amount", "missing")
    assert (signal.current, signal.reference, signal.severity) == (0.25, 0.0, "major")
    assert signal.effect.lower <= 0.25 <= signal.effect.upper
    assert signal.words == "25.0% of rows without a value (training: 0.0%)"


def test_an_unseen_level_of_many_rows_alarms_and_is_named() -> None:
    dest = rows(2_000, 2)["dest"]
    dest[:100] = "SFO"
    drift = judged({"dest": dest})
    assert ("dest", "unseen") in alarms(drift)
    assert "SFO" in signal_of(drift, "dest", "unseen").words


def test_a_column_of_ever_new_identifiers_is_not_news_where_the_reference_had_as_many() -> None:
    identifiers = make_reference({"id": [f"a{i}" for i in range(3_000)]}, {"id": "text"})
    drift = judge(identifiers, count(identifiers.layout, {"id": [f"b{i}" for i in range(500)]}))
    assert not drift.alarms


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("amount", np.full(2_000, np.nan), "empty"),
        ("amount", np.full(2_000, 3.0), "constant"),
        ("amount", np.append(np.full(400, np.inf), np.ones(1_600)), "infinite"),
        ("amount", np.array(["12 EUR"] * 500 + [1.0] * 1_500, object), "invalid"),
        ("dest", np.full(2_000, None, object), "empty"),
        ("dest", np.full(2_000, "D1", object), "constant"),
        ("open", np.full(2_000, True), "constant"),
    ],
)
def test_a_column_that_broke_is_said_to_be_what_it_is(column: str, values: Array, kind: str) -> None:
    drift = judged({column: values})
    assert (column, kind) in alarms(drift)
    assert drift.severity == "major"


def test_a_column_that_is_gone_alarms_and_a_new_one_is_named() -> None:
    window = rows(2_000, 2)
    del window["hour"]
    drift = judge(REFERENCE, count(REFERENCE.layout, window | {"gate": [1] * 2_000}))
    assert ("hour", "lost") in alarms(drift)
    new = signal_of(drift, "gate", "new")
    assert not new.alarm
    assert new.words == "no column of the training data"


def test_rows_beyond_the_tails_alarm_though_the_middle_stays() -> None:
    amount = rows(20_000, 3)["amount"]
    amount[:600] = 1e7
    drift = judged({"amount": amount}, 20_000, 3)
    assert ("amount", "tail") in alarms(drift)
    assert ("amount", "distribution") not in alarms(drift)


def test_two_columns_that_part_company_alarm_though_each_is_as_before() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=5_000)
    both = {"a": one, "b": one + rng.normal(size=5_000)}
    reference = make_reference(both, {"a": "number", "b": "number"}, ["a", "b"])
    mixed = {"a": both["a"], "b": rng.permutation(both["b"])}
    drift = judge(reference, count(reference.layout, mixed))
    assert alarms(drift) == {("a × b", "together")}


def test_margins_that_move_alone_leave_the_dependence_as_it_was() -> None:
    table = np.array([[400, 200, 100], [200, 300, 200], [100, 200, 400]])
    _, p_value = dependence(table * np.array([[3], [1], [1]]), table)
    assert p_value > 0.9


def test_an_empty_window_is_judged_without_an_alarm() -> None:
    assert not judge(REFERENCE, count(REFERENCE.layout, {})).alarms
    assert not judge(REFERENCE, count(REFERENCE.layout, {name: [] for name in TYPES})).alarms


def test_a_reference_without_rows_never_alarms_on_distributions() -> None:
    empty = make_reference({"x": [], "y": []}, {"x": "number", "y": "category"})
    drift = judge(empty, count(empty.layout, {"x": [1.0, 2.0], "y": ["a", None]}))
    assert not {kind for _, kind in alarms(drift)} & {"distribution", "constant"}


def test_another_models_window_is_refused() -> None:
    other = make_reference(rows(500, 8), TYPES)
    with pytest.raises(LayoutError, match="Count it by this model's reference"):
        judge(REFERENCE, count(other.layout, rows(10, 1)))


@pytest.mark.parametrize("n", [200, 5_000])
def test_the_interval_of_a_moved_share_holds_the_truth_nineteen_times_in_twenty(n: int) -> None:
    rng = np.random.default_rng(n)
    before, now = np.array([0.25, 0.25, 0.25, 0.25]), np.array([0.4, 0.25, 0.2, 0.15])
    truth, held = 0.15, 0
    for _ in range(400):
        effect = moved_share(rng.multinomial(n, now), rng.multinomial(10_000, before), ordered=False)
        held += effect.lower <= truth <= effect.upper
    assert held >= 0.92 * 400


def test_chance_alone_moves_nothing_on_average() -> None:
    rng = np.random.default_rng(0)
    level = np.full(200, 1 / 200)
    found = [
        moved_share(rng.multinomial(2_000, level), rng.multinomial(2_000, level), ordered=False).value
        for _ in range(100)
    ]
    assert np.mean(found) < 0.03


def test_adjusted_p_values_are_benjamini_and_hochbergs() -> None:
    assert adjusted_p_values([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert adjusted_p_values([]) == []


def test_the_gravest_alarm_comes_first_and_names_the_whole() -> None:
    amount = rows(2_000, 2)["amount"]
    amount[::20] = np.nan
    drift = judged({"amount": amount, "hour": np.full(2_000, 5.0)})
    assert (drift.signals[0].column, drift.severity) == ("hour", "major")
    assert drift.to_dict()["alarms"] == len(drift.alarms)
