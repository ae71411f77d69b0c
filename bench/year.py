"""A year of flights replayed on the laptop, month by month, with three policies of retraining side by side.

    make bench-year            or: python -m bench.year [--json] [--months 10] [--rows-per-day 300] [--daily]

The laptop platform runs at a clock that begins on 1 March 2013 with the flights of January and February, and jumps from
stop to stop (laptop/clock.py). Of each day a sample of flights is asked for; with the delays it comes as a file on the
next Monday. All else the platform does by itself: windows of a week are judged when their schedule says so, people are
told, models are trained, refused, served. Three projects of the same flights differ in their monitoring.retrain:

    monitored   a rule: new labels, a loss, major drift
    never       the model of January and February
    monthly     a schedule: every month

ROC AUC and money are those of the recorded predictions. The last line of standard output is one JSON object; it also
goes to bench/results/year.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import pandas as pd
import yaml

from bench.report import machine, say, write_result
from bench.year_figures import auc, compare, joined, mean_auc, money_of, watching_usd
from bench.year_flights import (
    YEAR,
    Flights,
    Stop,
    begin_of,
    days_between,
    is_late,
    month_after,
    request_body,
    timetable,
)
from bench.year_laptop import Look, YearLaptop
from cli.flights import file_name
from passerelle.contracts.runs import RunRecord
from passerelle.domain.project.model import Value

ROOT: Final = Path(__file__).resolve().parents[1]
#: The months that the first models learn from.
KNOWN: Final = range(1, 3)
MONITORED, NEVER, MONTHLY = POLICIES = ("monitored", "never", "monthly")
#: A model learns anew once it can learn from a sixth more, or when it has surely lost some of the metric, or when major
#: drift lasts. Flights drift moderately all the time.
RULE: Final[dict[str, Any]] = {"labels": 0.15, "loss": 0.02, "drift": "major"}
RULES: Final[dict[str, Any]] = {MONITORED: RULE, NEVER: "never", MONTHLY: "monthly"}
#: What rings when nobody has looked for two days: by this clock, whenever it jumps by a week.
UNWATCHED: Final = "Unwatched"
#: Cheap candidates: three runs side by side on two cores take a minute.
TRAINING: Final[dict[str, Any]] = {"candidates": ["baseline", "logistic", "hist_gradient_boosting"],
                                   "reduce_features": False}  # fmt: skip


class Replay:
    """The replay so far: what was answered, what was looked at, what people were told."""

    def __init__(self, laptop: YearLaptop, flights: Flights, asked: Sequence[str], *, daily: bool) -> None:
        self._laptop, self._flights, self._asked, self._daily = laptop, flights, asked, daily
        self.answers: dict[str, list[pd.DataFrame]] = {policy: [] for policy in POLICIES}
        self.looks: dict[str, list[Look]] = {policy: [] for policy in POLICIES}
        self.told: list[tuple[int, str]] = []
        self.rang: dict[int, set[str]] = {}

    def begin(self) -> None:
        """Let the first models be trained."""
        months = {month: days_between(date(YEAR, month, 1), month_after(month)) for month in KNOWN}
        self._laptop.drop({file_name(month): self._flights.file(days) for month, days in months.items()})
        for policy in POLICIES:
            (run,) = self._laptop.runs(project_name(policy))
            if run.status != "succeeded":
                raise SystemExit(f"The first run of {policy} ended as {run.status}: {run.error or run.why}")

    def stop(self, stop: Stop) -> None:
        """Go to a stop and let happen what happens there."""
        for look in self._laptop.move(stop.at):
            self.looks[look.project.removeprefix("flights-")].append(look)
        if stop.what == "drop":
            self._laptop.drop({f"flights-{stop.days[0]}.csv": self._flights.file(stop.days)})
        elif stop.what == "ask":
            for policy in POLICIES:
                self.answers[policy].append(self._ask(policy, stop))
        heard = [subject for subject in self._laptop.told() if self._daily or UNWATCHED not in subject]
        self.told += [(stop.at.month, subject) for subject in heard]
        rings = {name for name in self._laptop.alarms() if self._daily or UNWATCHED not in name}
        self.rang.setdefault(stop.at.month, set()).update(rings)

    def _ask(self, policy: str, stop: Stop) -> pd.DataFrame:
        project, known, rows = project_name(policy), dict[str, list[bool | None]](), 0
        for day in stop.days:
            flights = self._flights.of(day)
            known[f"{policy}-{day}"] = [is_late(flight) for flight in flights]
            self._laptop.ask(project, f"{policy}-{day}", request_body(flights, self._asked))
            rows += len(flights)
        found = joined(self._laptop.answers(project, rows), known)
        days = pd.to_datetime(found["inference_id"].str.removeprefix(f"{policy}-"))
        return found.assign(day=days, month=days.dt.month)[["day", "month", "version", "score", "decision", "late"]]


def project_name(policy: str) -> str:
    """Return the project of a policy."""
    return f"flights-{policy}"


def documents(*, monthly_files: bool = False) -> dict[str, dict[str, Any]]:
    """Return the projects: that of the repository, trained cheaply, by the rule of each policy.

    Files of a month each train by themselves where the policy is to train every month.
    """
    text = (ROOT / "projects" / "flights" / "project.yaml").read_text(encoding="utf-8")
    found = {}
    for policy, rule in RULES.items():
        by_file = monthly_files and policy == MONTHLY
        watched = {"schedule": "weekly", "retrain": "never" if by_file else rule}
        document = yaml.safe_load(text) | {"name": project_name(policy), "monitoring": watched}
        document["training"] |= TRAINING | {"on_drop": "train" if by_file else "keep"}
        found[document["name"]] = document
    return found


def asked_columns(document: dict[str, Any]) -> list[str]:
    """Return what a caller knows of a flight before it departs."""
    label = document["data"]["label"]["column"]
    return [
        column["name"]
        for column in document["data"]["columns"]
        if column.get("role") != "leakage" and column["name"] != label
    ]


def replay(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Replay the months; returns the result."""
    projects, flights = documents(monthly_files=options.monthly_files), Flights(options.rows_per_day)
    first = KNOWN.stop
    last = first + options.months - 1
    laptop = YearLaptop(folder, projects, begin_of(first) - timedelta(hours=1))
    say("Starting and deploying the laptop at its clock ...")
    with laptop.running():
        state = Replay(laptop, flights, asked_columns(projects[project_name(MONITORED)]), daily=options.daily)
        say("Training the first models ...")
        state.begin()
        stops = timetable(first, last, monthly_files=options.monthly_files, daily=options.daily)
        began = time.monotonic()
        for number, stop in enumerate(stops, start=1):
            state.stop(stop)
            took = time.monotonic() - began
            say(f"  {stop.at:%Y-%m-%d %H:%M} {stop.what:4}  {number}/{len(stops)} stops, {took:.0f} s")
        runs = {policy: laptop.runs(project_name(policy)) for policy in POLICIES}
        windows = {policy: laptop.windows(project_name(policy)) for policy in POLICIES}
    value = Value.model_validate(projects[project_name(MONITORED)]["why"]["value"])
    found = figures(state, runs, value, range(first, last + 1))
    files = "monthly" if options.monthly_files else "weekly"
    return {"files": files, "rows_per_day": options.rows_per_day, **found, "windows": windows}


def figures(state: Replay, runs: dict[str, list[RunRecord]], value: Value, months: range) -> dict[str, Any]:
    """Return what each month saw, and how the monitored policy compares with the others."""
    answers = {policy: pd.concat(parts, ignore_index=True) for policy, parts in state.answers.items()}
    for rows in answers.values():
        rows["usd"] = money_of((rows["decision"] == "true").to_numpy(), rows["late"].to_numpy(), value)
    by_month = [
        {
            "month": f"{YEAR}-{month:02}",
            "told": [subject for when, subject in state.told if when == month],
            "alarms": sorted(state.rang.get(month, ())),
            "policies": {policy: _month_of(policy, month, rows, runs[policy]) for policy, rows in answers.items()},
        }
        for month in months
    ]
    days = (month_after(months[-1]) - date(YEAR, months[0], 1)).days
    whole: dict[str, dict[str, Any]] = {}
    for policy, rows in answers.items():
        cost = {"training": sum(_cost(run) for run in runs[policy]), "watching": 0.0}
        if policy == MONITORED:
            cost["watching"] = watching_usd(state.looks[policy], days)
        brought = float(rows["usd"].sum())
        trained = sum(bool(_trained(run)) for run in runs[policy])
        whole[policy] = {"auc": mean_auc(rows), "brought_usd": brought, "cost_usd": cost, "trainings": trained,
                         "usd": brought - sum(cost.values()), "rows": len(rows)}  # fmt: skip
    spent = {policy: sum(found["cost_usd"].values()) for policy, found in whole.items()}
    compared = {
        policy: asdict(compare(answers[MONITORED], answers[policy], saved=spent[policy] - spent[MONITORED]))
        for policy in (NEVER, MONTHLY)
    }
    return {"rule": RULE, "months": by_month, "policies": whole, "monitored_beside": compared,
            "beats_both": all(found["beaten"] for found in compared.values())}  # fmt: skip


def _month_of(policy: str, month: int, rows: pd.DataFrame, runs: list[RunRecord]) -> dict[str, Any]:
    """Return a month of a policy: runs that began in it, and who answered at its end."""
    answered, began = rows[rows["month"] == month], [run for run in runs if _month(run) == month and _trained(run)]
    return {
        "auc": auc(answered),
        "brought_usd": float(answered["usd"].sum()),
        "flights": len(answered),
        "late": float(answered["late"].mean()),
        "champion": str(answered["version"].iloc[-1]) if len(answered) else None,
        "training_usd": sum(_cost(run) for run in runs if _month(run) == month),
        "trainings": [{"run": run.run_id, "why": run.why_begun or "a file came", "status": run.status,
                       "version": run.model_version, "chosen": run.chosen} for run in began],
    }  # fmt: skip


def _month(run: RunRecord) -> int:
    return int(run.created_at[5:7])


def _trained(run: RunRecord) -> bool:
    return any(stage.stage == "train" for stage in run.stages)


def _cost(run: RunRecord) -> float:
    return (run.cost.known_usd or 0.0) if run.cost else 0.0


def show(result: dict[str, Any]) -> None:
    """Print the months and the comparison."""
    say(f"\n{'month':8} {'late':>5}   AUC {'monitored':>9} {'never':>7} {'monthly':>7}   brought, USD "
        f"{'monitored':>9} {'never':>8} {'monthly':>8}   champions")  # fmt: skip
    for row in result["months"]:
        found = [row["policies"][policy] for policy in POLICIES]
        scores, money = (" ".join(f"{one[name]:{form}}" for one in found)
                         for name, form in (("auc", "7.3f"), ("brought_usd", "8,.0f")))  # fmt: skip
        champions = " ".join(f"v{one['champion']}" for one in found)
        say(f"{row['month']:8} {found[0]['late']:5.0%}         {scores}                 {money}   {champions}")
        for run in found[0]["trainings"]:
            say(f"{'':8} trained: {run['why']} -> {run['status']}, version {run['version']} ({run['chosen']})")
        for subject in row["told"]:
            say(f"{'':8} told: {subject}")
        for alarm in row["alarms"]:
            say(f"{'':8} rang: {alarm}")
    say("")
    for policy, found in result["policies"].items():
        cost = found["cost_usd"]
        say(f"{policy:10} AUC {found['auc']:.4f}   {found['usd']:12,.2f} USD = {found['brought_usd']:,.0f} brought - "
            f"{cost['training']:.2f} training ({found['trainings']}) - {cost['watching']:.2f} watching")  # fmt: skip
    for policy, found in result["monitored_beside"].items():
        difference = [f"{name} {one['value']:+.{places}f} ({one['lower']:+.{places}f} to {one['upper']:+.{places}f})"
                      for name, one, places in (("AUC", found["auc"], 4), ("USD", found["usd"], 0))]  # fmt: skip
        say(f"monitored beside {policy}: {', '.join(difference)}: {'better' if found['beaten'] else 'NOT better'}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, write bench/results/year.json, and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.year", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="write nothing to standard output but the JSON")
    parser.add_argument("--months", type=int, choices=range(1, 11), default=10, metavar="1-10",
                        help="how many months are replayed, from March on")  # fmt: skip
    parser.add_argument("--rows-per-day", type=int, default=300, help="flights a day; 0: all, some 920")
    parser.add_argument(
        "--monthly-files",
        action="store_true",
        help="delays come each month, not each Monday; the policy of every month trains with each file",
    )
    parser.add_argument("--daily", action="store_true", help="ask and look each day, not each week: thrice the time")
    parser.add_argument("--keep", type=Path, help="where the laptop's state is to stay; by default nothing stays")
    options = parser.parse_args(arguments)
    described, began = machine(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="passerelle-bench-") as name:
        folder = options.keep or Path(name)
        # PostgreSQL, run as another user under root, must be able to reach it.
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        found = replay(folder.resolve(), options)
    result = {"bench": "year", **found, "seconds": time.monotonic() - began, "machine": described}
    show(result)
    write_result(result)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
