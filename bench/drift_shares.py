"""What windows' scores and alarms come to: shares with their intervals, and power at equal false alarms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

#: The share of unchanged windows at which every tool's threshold is set.
RATE: Final = 0.05
_NORMAL_95: Final = 1.959963984540054


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a binomial share (Wilson 1927); of no trials, 0 to 1."""
    if not trials:
        return 0.0, 1.0
    z, share = _NORMAL_95, hits / trials
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def power(unchanged: Sequence[float], changed: Sequence[float], rate: float = RATE) -> float:
    """Return the share of changed windows that alarm where a share `rate` of unchanged ones does, exactly.

    A window alarms above the threshold; at it, in as many of the cases as make the share of unchanged ones exact, so
    that scores of few values are compared fairly with fine ones.
    """
    allowed = rate * len(unchanged)
    ordered = sorted(unchanged, reverse=True)
    threshold = ordered[min(int(allowed), len(ordered) - 1)]
    above, at = sum(score > threshold for score in ordered), ordered.count(threshold)
    part = (allowed - above) / at
    return (sum(score > threshold for score in changed) + part * changed.count(threshold)) / len(changed)


def powers(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each shift and size, each rule's power and its default's share of alarms.

    Parameters
    ----------
    rows : what `bench.drift_tool.scores` gave, of all tools together: the first of a population's strengths is
        unchanged.
    """
    calm: dict[tuple[str, int, str], list[float]] = {}
    found: dict[tuple[str, int, float], dict[str, Any]] = {}
    for row in rows:
        for rule, scores in row["scores"].items():
            key = row["population"], row["rows"], rule
            if key not in calm:
                calm[key] = scores
                continue
            shift = {"shift": row["population"], "strength": row["strength"], "rows": row["rows"]}
            each = found.setdefault((row["population"], row["rows"], row["strength"]), {**shift, "power": {}})
            each["power"][rule] = round(power(calm[key], scores), 4)
    for row in rows:
        shifted = found.get((row["population"], row["rows"], row["strength"]))
        if shifted is not None:
            shares = {rule: round(hits / row["windows"], 4) for rule, hits in row["alarmed"].items()}
            shifted["default"] = shifted.get("default", {}) | shares
    return list(found.values())


def rows_of_false_alarms(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the result's rows: for each case and peer, the share of windows with any alarm though nothing changed."""
    ours = {row["case"]: row for row in found if row["rule"] == "ours"}
    rows = []
    for peer in (row for row in found if row["rule"] != "ours" and row["case"] in ours):
        mine = ours[peer["case"]]
        rows.append(
            {
                "measure": f"windows with a false alarm: {peer['case']}",
                "unit": "share",
                "ours": _share(mine),
                "ours_interval": _interval(mine),
                "ours_windows": mine["windows"],
                "peer": _share(peer),
                "peer_interval": _interval(peer),
                "peer_windows": peer["windows"],
                "peer_name": peer["rule"],
                "ratio": round(_share(peer) / _share(mine), 2) if mine["alarmed"] else None,
            }
        )
    return rows


def rows_of_power(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the result's rows: for each shift, size and peer, power at five false alarms of a hundred."""
    return [
        {
            "measure": f"power: {row['shift']} {row['strength']:g}, {row['rows']:,} rows",
            "unit": "share",
            "ours": row["power"]["ours"],
            "ours_any_signal": row["power"]["ours, any signal"],
            "peer": share,
            "peer_name": rule,
            "ratio": round(row["power"]["ours"] / share, 2) if share else None,
        }
        for row in found
        for rule, share in row["power"].items()
        if not rule.startswith("ours")
    ]


def _share(row: dict[str, Any]) -> float:
    return round(float(row["alarmed"] / row["windows"]), 4)


def _interval(row: dict[str, Any]) -> list[float]:
    return [round(bound, 4) for bound in interval(row["alarmed"], row["windows"])]
