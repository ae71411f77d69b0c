"""The same fitted pipeline as a BentoML service: what its documentation shows for scikit-learn.

Run in an environment of its own by `bench.serving`; PIPELINE names the pickled pipeline, SIGNATURE the bundle's.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml
import cloudpickle

from passerelle.contracts.bundle import BundleSignature
from passerelle.domain.candidates.frame import typed_frame


@bentoml.service(workers=1)
class Flights:
    """Answers with probabilities."""

    def __init__(self) -> None:
        self.pipeline = cloudpickle.loads(Path(os.environ["PIPELINE"]).read_bytes())
        self.inputs = BundleSignature.from_json(Path(os.environ["SIGNATURE"]).read_bytes()).inputs

    @bentoml.api(route="/invocations")
    def predict(self, dataframe_records: list[dict[str, Any]]) -> dict[str, Any]:
        """Return each row's probabilities."""
        columns = {column.name: [record[column.name] for record in dataframe_records] for column in self.inputs}
        return {"predictions": self.pipeline.predict_proba(typed_frame(columns, self.inputs)).tolist()}
