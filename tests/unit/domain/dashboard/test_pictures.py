"""Drift as PNG: pictures of the size that what they show needs, of anything that windows hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib import image

from passerelle.contracts.monitoring import WindowRecord
from passerelle.domain.dashboard.pictures import draw_map, draw_window
from tests.unit.domain.dashboard.boards import moved, window


def _pixels(path: Path) -> Any:
    assert path.read_bytes().startswith(b"\x89PNG")
    return image.imread(path)


def _has(pixels: Any, colour: tuple[int, int, int]) -> bool:
    near = abs(pixels[..., :3] * 255 - colour) < 2
    return bool(near.all(axis=-1).any())


def test_the_map_grows_with_its_windows_and_shows_severities(tmp_path: Path) -> None:
    quiet = [window(day) for day in range(1, 12)]
    draw_map(quiet, tmp_path / "quiet.png")
    draw_map([*quiet, moved(12, "origin", 0.3, "major"), moved(13, "$x_1$", 0.06, "minor")], tmp_path / "moved.png")
    few, many = _pixels(tmp_path / "quiet.png"), _pixels(tmp_path / "moved.png")
    assert many.shape[1] > few.shape[1]
    assert _has(many, (0xF3, 0x98, 0x9B))
    assert not _has(few, (0xF3, 0x98, 0x9B))


@pytest.mark.parametrize("windows", [[window(1)], [window(1, status="empty", moved={}, rows=0)]], ids=["one", "empty"])
def test_a_single_window_is_drawn_too_and_one_without_rows(tmp_path: Path, windows: list[WindowRecord]) -> None:
    draw_map(windows, tmp_path / "map.png")
    assert _pixels(tmp_path / "map.png").shape[0] > 100


def _signal(column: str, value: float, **changes: Any) -> dict[str, Any]:
    effect = {"value": value, "lower": value - 0.02, "upper": value + 0.02}
    found = {"column": column, "kind": "distribution", "effect": effect, "severity": "none", "alarm": False,
             "usual": 0.01, "segment": ""}  # fmt: skip
    return {**found, **changes}


def test_a_windows_signals_are_drawn_by_their_gravity_and_factors_are_left_out(tmp_path: Path) -> None:
    record = moved(21, "distance", 0.3, "major")
    signals = [_signal("origin", 0.01), _signal("distance", 0.3, alarm=True, severity="major"),
               _signal("", 40.0, kind="volume", alarm=True, severity="major")]  # fmt: skip
    draw_window(record, signals, tmp_path / "window.png")
    assert _has(_pixels(tmp_path / "window.png"), (0xB3, 0x16, 0x1B))
    draw_window(record, [], tmp_path / "nothing.png")
    assert not _has(_pixels(tmp_path / "nothing.png"), (0xB3, 0x16, 0x1B))
