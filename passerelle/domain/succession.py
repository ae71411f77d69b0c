"""Which versions of a model were champions one after another, and which a rollback comes back to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from passerelle.contracts.promotions import Promotion

#: Changes that go back: what came after the version that they name is given up.
_BACK: Final = ("rollback", "redeploy")


def succession(promotions: Sequence[Promotion], earlier: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the versions that lead to the champion, which is the last.

    A rollback takes those after its version out, so that the next one goes further back and never to what was just
    given up. `promotions` are in the order of their time; `earlier` are versions served before they were recorded.
    """
    line = list(earlier)
    for promotion in promotions:
        version, before = promotion.version, promotion.before
        if before is not None and before not in line:  # served by a release that recorded nothing
            line.append(before)
        if promotion.asked.how in _BACK and version in line:
            del line[line.index(version) + 1 :]
        elif not line or line[-1] != version:
            line.append(version)
    return tuple(line)


def champion_before(line: Sequence[str]) -> str | None:
    """Return the version that the champion took over from, None for the first."""
    return line[-2] if len(line) > 1 else None
