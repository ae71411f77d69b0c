"""How long an explained row takes: ours, from the served bundle alone, beside the package shap on the same model.

    python -m bench.explain [--json] [--candidate xgboost] [--rows 50000]

Both explain the same rows one by one with exact values; processor time is given too, which other work on the machine
hardly changes. Standard output holds one JSON object; progress goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.flights import INPUTS, train_flights
from bench.report import machine, write_result
from bench.serving import ROOT
from passerelle.domain.candidates.calibrated import innermost
from passerelle.domain.candidates.frame import typed_frame
from training.bundle import load_bundle
from training.serve.explain import RowExplainer

ASKED: Final = 40
CANDIDATES: Final = ("xgboost", "hist_gradient_boosting", "random_forest", "logistic")
_FIRST: Final = """
import json, sys, time
started = time.perf_counter()
from pathlib import Path
if sys.argv[1] == "ours":
    from training.bundle import load_bundle
    from training.serve.explain import RowExplainer
    bundle = load_bundle(Path(sys.argv[2]), plan_suffices=True)
    loaded = time.perf_counter()
    RowExplainer(bundle).explain({k: [v] for k, v in json.loads(sys.argv[3]).items()}, [0])
else:
    loaded = time.perf_counter()
    import shap
print(time.perf_counter() - loaded)
"""


def per_row(explain: Callable[[int], Any]) -> tuple[float, float]:
    """Return the median milliseconds of one row: on the clock, and of the processor."""
    walls, processors = [], []
    for row in range(ASKED):
        wall, processor = time.perf_counter(), time.process_time()
        explain(row)
        walls.append((time.perf_counter() - wall) * 1_000)
        processors.append((time.process_time() - processor) * 1_000)
    return statistics.median(walls), statistics.median(processors)


def first(who: str, model: Path, record: Mapping[str, Any]) -> float:
    """Return the milliseconds until the first explanation of a fresh process; of the peer, only of its import."""
    command = [sys.executable, "-c", _FIRST, who, str(model), json.dumps(record)]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout) * 1_000


def measure(candidate: str, rows: int, folder: Path) -> list[dict[str, Any]]:
    """Return the measures of one candidate."""
    flights = train_flights(folder, candidate=candidate, rows=rows, peer=False)
    model = flights.base / "model"
    ours = RowExplainer(load_bundle(model, plan_suffices=True))
    records = flights.records[:ASKED]
    columns = [{column.name: [record[column.name]] for column in INPUTS} for record in records]
    mine = per_row(lambda row: ours.explain(columns[row], [0]))
    peer: tuple[float, float] | tuple[None, None] = (None, None)
    start = None
    if candidate != "logistic":
        import shap

        pipeline = load_bundle(model).pipeline
        encoder, fitted = pipeline.steps[0][1], innermost(pipeline.steps[-1][1])
        theirs = shap.TreeExplainer(fitted, feature_perturbation="tree_path_dependent")
        frames = [np.asarray(encoder.transform(typed_frame(each, INPUTS))) for each in columns]
        peer = per_row(lambda row: theirs.shap_values(frames[row]))
        start = first("shap", model, records[0])
    figures = {
        "one row": (mine[0], peer[0]),
        "one row, processor": (mine[1], peer[1]),
        "first explanation (of shap: its import)": (first("ours", model, records[0]), start),
    }
    return [_row(f"{candidate}: {name}", *pair) for name, pair in figures.items()]


def _row(name: str, ours: float, peer: float | None) -> dict[str, Any]:
    ratio = None if peer is None else round(peer / ours, 2)
    shown = None if peer is None else round(peer, 3)
    named = None if peer is None else "shap"
    return {"measure": name, "unit": "ms", "ours": round(ours, 3), "peer": shown, "peer_name": named, "ratio": ratio}


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench.explain", description=__doc__)
    parser.add_argument("--candidate", choices=CANDIDATES, action="append", help="one of them; all unless given")
    parser.add_argument("--rows", type=int, default=50_000, help="rows to train on")
    parser.add_argument("--json", action="store_true", help="print the JSON object only")
    options = parser.parse_args(arguments)
    rows = []
    for candidate in options.candidate or CANDIDATES:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(candidate, options.rows, Path(folder))
        if not options.json:
            print(
                *(f"{row['measure']:60} {row['ours']:10} {row['peer']}" for row in rows[-3:]), sep="\n", file=sys.stderr
            )
    result = {"bench": "explain", "rows": rows, "machine": machine()}
    write_result(result)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
