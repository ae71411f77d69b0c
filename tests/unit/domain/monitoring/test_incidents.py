"""One incident for each cause: opened when it lasts, told once, closed when it is over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerelle.contracts.prediction import SCORE
from passerelle.domain.drift.effect import Effect
from passerelle.domain.drift.signal import Kind, Severity, Signal
from passerelle.domain.monitoring.incidents import Event, Rule, Watch, cause_of, follow
from passerelle.domain.monitoring.told import RUNBOOK, message, subject

KINDS: tuple[Kind, ...] = ("distribution", "missing", "lost", "constant", "volume", "estimated", "realised")
_EFFECT = Effect(value=0.3, lower=0.2, upper=0.4)


def alarm(column: str, kind: Kind = "distribution", severity: Severity = "minor", *, alarm: bool = True) -> Signal:
    return Signal(
        column=column, kind=kind, effect=_EFFECT, p_value=0.0, severity=severity, alarm=alarm, words=f"{kind} moved"
    )


def day(number: int) -> str:
    return f"2026-01-{number:02}T00:00:00Z"


def followed(*windows: list[Signal], rule: Rule | None = None) -> tuple[Watch, list[Event]]:
    watch, told = Watch(), list[Event]()
    for number, signals in enumerate(windows, 1):
        watch, events = follow(watch, day(number), signals, rule)
        told += events
    return watch, told


def test_one_minor_alarm_is_waited_for_and_the_second_in_three_windows_opens_an_incident() -> None:
    watch, told = followed([alarm("dest")], [], [alarm("dest")])
    assert [event.change for event in told] == ["opened"]
    incident = told[0].incident
    assert (incident.cause, incident.since, incident.last) == ("drift", day(1), day(3))
    assert incident.words == "dest: distribution moved"
    assert watch.incidents == (incident,)


def test_two_alarms_that_lie_too_far_apart_open_none() -> None:
    assert followed([alarm("dest")], [], [], [alarm("dest")])[1] == []


def test_a_major_alarm_opens_at_once() -> None:
    assert [event.change for event in followed([alarm("dest", "lost", "major")])[1]] == ["opened"]


def test_how_grave_a_fault_is_on_all_rows_is_known_beside_what_segments_say() -> None:
    segment = Signal(**{**vars(alarm("tailnum", "missing", "major")), "segment": "carrier = 9E"})
    (incident,) = followed([segment, alarm("tailnum", "missing", "moderate")])[0].incidents
    assert (incident.severity, incident.everywhere) == ("major", "moderate")
    (incident,) = followed([segment, alarm("tailnum", "missing", "moderate")], [segment])[0].incidents
    assert incident.everywhere == "none"
    (incident,) = Watch.from_dict(json.loads(json.dumps(Watch(incidents=(incident,)).to_dict()))).incidents
    assert incident.everywhere == "none"


def test_a_night_without_requests_ends_nothing_but_that_too_many_came() -> None:
    watch, _ = follow(Watch(), day(1), [alarm("dest", severity="major"), alarm("", "volume", "major")])
    assert {incident.cause for incident in watch.incidents} == {"drift", "arrivals"}
    for number in (2, 3, 4):
        watch, events = follow(watch, day(number), [], Rule(closes=2), rows=False)
        assert [event.incident.cause for event in events] == (["arrivals"] if number == 3 else [])
    assert [incident.cause for incident in watch.incidents] == ["drift"]
    watch, events = follow(watch, day(5), [alarm("dest", severity="major")], Rule(closes=2))
    assert events == ()
    for number in (6, 7):
        watch, events = follow(watch, day(number), [], Rule(closes=2))
    assert [event.change for event in events] == ["closed"]


def test_what_was_unlike_the_training_data_of_another_model_is_over_with_it() -> None:
    watch, _ = follow(Watch(), day(1), [alarm("dest", severity="major"), alarm("visits", "lost", "major")], model="1")
    assert {incident.cause for incident in watch.incidents} == {"drift", "absent"}
    moved = [alarm("carrier"), alarm("visits", "lost", "major")]
    watch, told = follow(watch, day(2), moved, model="2")
    assert [(event.change, event.incident.columns) for event in told] == [("closed", ("dest",))]
    assert "another model serves since" in message("p", "dev", told[0])
    assert [incident.columns for incident in watch.incidents] == [("visits",)]
    watch, told = follow(Watch.from_dict(json.loads(json.dumps(watch.to_dict()))), day(3), moved, model="2")
    assert [(event.change, event.incident.since, event.incident.words) for event in told] == [
        ("opened", day(2), "carrier: distribution moved")
    ]
    assert {incident.severity for incident in watch.incidents if incident.cause == "drift"} == {"minor"}


def test_a_model_that_is_not_known_ends_nothing() -> None:
    watch, _ = follow(Watch(), day(1), [alarm("dest", severity="major")])
    watch, told = follow(watch, day(2), [alarm("dest", severity="major")], model="2")
    assert told == ()
    assert follow(watch, day(3), [], model="2")[0].incidents[0].quiet == 1


def test_what_goes_on_is_told_once_and_what_grows_worse_once_more() -> None:
    minor, major = [alarm("dest")], [alarm("dest", severity="major")]
    _, told = followed(minor, minor, minor, minor, major, major, minor)
    assert [event.change for event in told] == ["opened", "worsened"]
    assert told[1].incident.severity == "major"


def test_an_incident_closes_after_two_quiet_windows_and_a_single_one_is_no_end() -> None:
    bad = [alarm("dest")]
    watch, told = followed(bad, bad, [], bad, [], [])
    assert [event.change for event in told] == ["opened", "closed"]
    assert told[1].incident.last == day(4)
    assert watch.incidents == ()


def test_twenty_columns_that_stay_away_at_once_are_one_incident() -> None:
    gone = [alarm(f"c{number}", "empty", "major") for number in range(20)]
    _, told = followed(gone, gone)
    assert len(told) == 1
    assert len(told[0].incident.columns) == 20


def test_scores_and_worth_that_follow_from_moved_inputs_open_no_incident_of_their_own() -> None:
    bad = [alarm("dest", severity="major"), alarm(SCORE, severity="major"), alarm("", "estimated", "major")]
    watch, told = followed(bad, bad)
    assert [event.incident.cause for event in told] == ["drift"]
    assert watch.incidents[0].also == ("answers", "estimated")


def test_scores_that_move_alone_are_an_incident() -> None:
    _, told = followed([alarm(SCORE, severity="major")])
    assert [event.incident.cause for event in told] == ["answers"]


def test_signals_that_do_not_alarm_count_for_nothing() -> None:
    assert followed(*[[alarm("dest", severity="major", alarm=False)]] * 5)[1] == []


def test_a_window_that_is_seen_again_changes_nothing() -> None:
    watch, _ = followed([alarm("dest")], [alarm("dest")])
    assert follow(watch, day(2), [alarm("x", severity="major")]) == (watch, ())
    assert follow(watch, day(1), []) == (watch, ())


@pytest.mark.parametrize(("signal", "cause"), [
    (alarm(SCORE), "answers"), (alarm(SCORE, "missing"), "absent"), (alarm("x", "tail"), "drift"),
    (alarm("", "volume"), "arrivals"), (alarm("x", "invalid"), "broken"),
])  # fmt: skip
def test_each_signal_speaks_for_one_cause(signal: Signal, cause: str) -> None:
    assert cause_of(signal) == cause


signals = st.lists(
    st.builds(
        alarm,
        st.sampled_from(["a", "b", "", SCORE]),
        st.sampled_from(KINDS),
        st.sampled_from(["minor", "moderate", "major"]),
    ),
    max_size=4,
)


@given(st.lists(signals, max_size=12))
def test_whatever_comes_each_opening_has_one_end_and_no_cause_is_open_twice(windows: list[list[Signal]]) -> None:
    watch, told = followed(*windows, *[[]] * 3)
    opened = [event.incident.id for event in told if event.change == "opened"]
    closed = [event.incident.id for event in told if event.change == "closed"]
    assert sorted(opened) == sorted(closed)
    assert len(set(opened)) == len(opened)
    assert watch.incidents == ()


@given(st.lists(signals, min_size=1, max_size=6))
def test_a_watch_is_the_same_after_json(windows: list[list[Signal]]) -> None:
    watch, _ = followed(*windows)
    assert Watch.from_dict(json.loads(json.dumps(watch.to_dict()))) == watch


def event_of(**changed: Any) -> Event:
    signal = alarm("dest", severity="major")
    _, told = followed([Signal(**{**vars(signal), **changed})])
    return told[0]


def test_the_message_says_what_since_when_how_bad_why_and_what_to_do() -> None:
    text = message("flights", "prod", event_of(), page="s3://reports/flights/drift.html")
    for begin in ("What: dest: ", "Where: project flights", "Since: 2026-01-01", "How bad: major", "Likely: ", "Do: "):
        assert begin in text
    assert RUNBOOK in text
    assert "Page: s3://reports/flights/drift.html" in text


@pytest.mark.parametrize("length", [1, 60, 500])
def test_a_subject_is_a_line_that_sns_takes_and_keeps_its_severity(length: int) -> None:
    line = subject("flights", "prod", event_of(words="w" * length))
    assert len(line) <= 99
    assert line.endswith("[major]")
    assert "\n" not in line


def test_what_is_over_is_told_as_over() -> None:
    _, told = followed([alarm("dest", severity="major")], [], [])
    assert message("flights", "prod", told[1]).startswith("It is over: dest: ")
    assert subject("flights", "prod", told[1]).endswith("[over]")
