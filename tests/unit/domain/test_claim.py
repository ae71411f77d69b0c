"""Which version of a dropped key counts."""

from __future__ import annotations

from passerelle.domain.claim import newest_per_key


def _claim(version: str, sequencer: str, time: str) -> dict[str, str]:
    return {"key": "flights/a.csv", "version_id": version, "sequencer": sequencer, "time": time}


def test_sequencers_of_different_lengths_compare_as_numbers() -> None:
    older, newer = _claim("1", "FF", "t"), _claim("2", "0100", "t")
    assert newest_per_key([newer, older]) == ([newer], [older])


def test_a_version_found_by_the_reconciler_compares_by_time() -> None:
    older, newer = _claim("1", "FF", "2026-11-21T05:00:00Z"), _claim("2", "", "2026-11-21T05:00:01+00:00")
    assert newest_per_key([newer, older]) == ([newer], [older])
    assert newest_per_key([older, newer]) == ([newer], [older])
