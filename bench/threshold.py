"""What a threshold that follows the newest rate of positives costs on flights of 2013, trained anew all along.

    python -m bench.threshold [--candidates logistic hist_gradient_boosting] [--every 3]

A model is trained at the end of each week (or month, or once), on all flights before: the oldest 70 % are learnt from,
the next 15 % give the threshold, as in a run. Until the next one it decides, and the project's money is counted. Three
ways to a threshold: the greatest value on the newest rows as they are, the same at the rate of positives that the model
learnt (what runs do), and the one that is best for exact probabilities. The last line of standard output is one JSON
object, which also goes to bench/results/threshold.json.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import yaml

from bench.estimated import Year
from bench.report import machine, say, write_result
from passerelle.domain.decision import best_threshold, ideal_threshold, row_values
from passerelle.domain.project.model import Value

Array = npt.NDArray[Any]
PROJECT: Final = Path(__file__).resolve().parents[1] / "projects" / "flights" / "project.yaml"
LEARNT, JUDGED = 0.70, 0.85
NEWEST, KEPT, EXACT = WAYS = ("newest rate", "rate learnt", "exact probabilities")
EPOCH: Final = date(1970, 1, 1)
#: Models serve from March on, and the year ends.
FIRST, LAST = ((date(2013, 3, 1) - EPOCH).days, (date(2014, 1, 1) - EPOCH).days)


def trainings(every: str) -> list[int]:
    """Return the days on which a model is trained: Mondays, firsts, or once."""
    days = {
        "week": [day for day in range(FIRST, LAST) if (day + 3) % 7 == 0],
        "month": [(date(2013, month, 1) - EPOCH).days for month in range(3, 13)],
        "never": [],
    }
    return sorted({FIRST, *days[every]})


class Weeks:
    """One candidate's models by the day they were trained; those of two policies on one day are one."""

    def __init__(self, year: Year, rows: Array, candidate: str, value: Value) -> None:
        self._year, self._rows, self._candidate, self._value = year, rows, candidate, value
        self._known: dict[int, tuple[Array, dict[str, float]]] = {}

    def money(self, days: list[int]) -> dict[str, dict[str, Any]]:
        """Return by way what the decisions of these trainings brought, in all and by month."""
        year, found = self._year, {way: np.zeros(13) for way in WAYS}
        for day, until in pairwise([*days, LAST]):
            scores, thresholds = self._model(day)
            asked = self._rows[(year.days[self._rows] >= day) & (year.days[self._rows] < until)]
            for way, threshold in thresholds.items():
                usd = row_values(self._value, year.late[asked], scores[asked], threshold)
                np.add.at(found[way], year.months[asked], usd)
        return {way: {"usd": float(months.sum()), "months": months[3:].tolist()} for way, months in found.items()}

    def _model(self, day: int) -> tuple[Array, dict[str, float]]:
        if day not in self._known:
            year, before = self._year, self._rows[self._year.days[self._rows] < day]
            learnt, judged = (int(len(before) * share) for share in (LEARNT, JUDGED))
            later, scores = self._rows[learnt:], np.full(len(year.late), np.nan)
            scores[later] = year.scores(self._candidate, before[:learnt], later)
            labels, positive = year.late[before[learnt:judged]], scores[before[learnt:judged]]
            share = float(year.late[before[:learnt]].mean())
            self._known[day] = (
                scores,
                {
                    NEWEST: best_threshold(self._value, labels, positive),
                    KEPT: best_threshold(self._value, labels, positive, share=share),
                    EXACT: ideal_threshold(self._value) or 0.5,
                },
            )
        return self._known[day]


def main() -> None:
    """Measure, and print one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", nargs="+", default=["logistic", "hist_gradient_boosting"])
    parser.add_argument("--every", type=int, default=3, metavar="N", help="one flight in so many; default 3")
    given = parser.parse_args()
    started, year = machine(), Year.read()
    value = Value.model_validate(yaml.safe_load(PROJECT.read_text(encoding="utf-8"))["why"]["value"])
    rows, cases = np.arange(len(year.late))[:: given.every], []
    for candidate in given.candidates:
        models = Weeks(year, rows, candidate, value)
        for policy in ("never", "month", "week"):
            found = models.money(trainings(policy))
            cases.append({"candidate": candidate, "trained": policy, "ways": found})
            brought = ", ".join(f"{way} {one['usd']:10,.0f}" for way, one in found.items())
            say(f"{candidate:24} {policy:6} USD: {brought}")
    result = {"bench": "threshold", "flights": len(rows), "cases": cases, "machine": started}
    write_result(result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
