"""`passerelle cost prices`: the table as people and machines read it."""

from __future__ import annotations

import json

import pytest

from cli.main import main


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, object]]:
    main(["--json", "cost", "prices", *options])
    return list(json.loads(capsys.readouterr().out))


def test_prices_are_found_by_service_region_and_name(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = listed(capsys, "--service", "nat", "--region", "us-east-1", "--sku", "hours")
    assert (found["usd"], found["unit"], found["as_of"], found["derived"]) == (0.045, "hour", "2026-10-13", False)


def test_what_is_unknown_and_what_is_old_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert {found["usd"] for found in listed(capsys, "--unknown")} == {None}
    old = listed(capsys, "--old", "--days", "30")
    assert old
    assert all(found["old"] and found["usd"] is not None for found in old)


@pytest.mark.parametrize("columns", ["80", "200"])
def test_people_read_ages_and_derived_prices_are_labelled(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    main(["cost", "prices", "--region", "eu-west-3", "--sku", "ml.m5.large"])
    shown = capsys.readouterr().out
    assert "0.1344 (derived)" in shown
    assert "unknown" in shown


def test_a_mistyped_subcommand_lists_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["cost", "price"])
    assert stop.value.code == 2
    assert "prices" in capsys.readouterr().err
