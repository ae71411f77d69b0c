"""The line of champions, and where a rollback comes to."""

from __future__ import annotations

import pytest

from passerelle.contracts.promotions import Asked, Promotion
from passerelle.domain.succession import champion_before, succession


def _line(*steps: str, earlier: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Steps are `how version`, or `how version before`."""
    promotions = []
    for number, step in enumerate(steps):
        how, version, *before = step.split()
        asked = Asked.model_validate({"how": how})
        at, last = f"2026-01-{number + 1:02d}", before[0] if before else None
        promotions.append(Promotion(version=version, run_id=f"r{version}", at=at, asked=asked, before=last))
    return succession(promotions, earlier)


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        ((), ()),
        (("run 1",), ("1",)),
        (("run 1", "run 2", "run 3"), ("1", "2", "3")),
        (("run 1", "run 2", "run 2"), ("1", "2")),
        (("run 1", "run 2", "run 3", "rollback 2"), ("1", "2")),
        (("run 1", "run 2", "run 3", "rollback 2", "rollback 1"), ("1",)),
        (("run 1", "run 2", "run 3", "rollback 1", "promote 3"), ("1", "3")),
        (("run 1", "run 2", "rollback 1", "run 4"), ("1", "4")),
        (("run 1", "run 2", "promote 1"), ("1", "2", "1")),
        (("run 1", "run 2", "redeploy 2"), ("1", "2")),
        (("run 1", "run 2", "redeploy 1"), ("1",)),
    ],
)
def test_a_rollback_gives_up_what_came_after_and_a_promotion_goes_on_from_there(
    steps: tuple[str, ...], line: tuple[str, ...]
) -> None:
    assert _line(*steps) == line
    assert champion_before(line) == (line[-2] if len(line) > 1 else None)


def test_what_was_served_before_changes_were_written_down_can_be_gone_back_to() -> None:
    assert _line("run 3 2", earlier=("1", "2")) == ("1", "2", "3")
    assert _line("run 3 2") == ("2", "3")
    assert _line("rollback 1 2", earlier=("1",)) == ("1",)
