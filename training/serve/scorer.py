"""From checked columns to an answer. The one place that knows how the pipeline is asked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from passerelle.domain.features.derive import ModelColumns
from passerelle.errors import BundleError
from training.bundle import Bundle
from training.bundle.ensemble import same_answers


class Scorer:
    """Scores rows with one bundle; safe to call from several threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        signature, metadata = bundle.signature, bundle.metadata
        self.inputs = signature.inputs
        self.model_columns = ModelColumns(signature)
        self._task = signature.task
        self._classes: Any = (
            bundle.plan.classes if bundle.plan is not None else getattr(bundle.pipeline, "classes_", None)
        )
        self._names: list[Any] = [] if self._classes is None else self._classes.tolist()
        self._about = {
            "project": metadata.project,
            "run_id": metadata.run_id,
            "candidate": metadata.candidate,
            "dataset_id": metadata.dataset_id,
            "version": os.environ.get("PASSERELLE_MODEL_VERSION"),
        }

    def score(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Return the answer to columns as a caller sends them, checked."""
        return self.answer(self.model_columns(columns))

    def answer(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Return predictions, for classifiers with classes and probabilities, for binary with decisions.

        `columns` are as the model sees them.
        """
        if self._task == "regression":
            return {"predictions": self._ask(columns).astype(float).tolist(), "model": self._about}
        shares = self._ask(columns)
        rows: list[list[float]] = shares.astype(float).tolist()
        answer: dict[str, Any] = {
            "predictions": self._labels(shares, rows),
            "probabilities": rows,
            "classes": self.bundle.signature.classes,
        }
        threshold = self.bundle.metadata.threshold
        if threshold is not None:
            answer["decisions"] = [row[1] >= threshold for row in rows]
            answer["threshold"] = threshold
        answer["model"] = self._about
        return answer

    def _labels(self, shares: Any, rows: list[list[float]]) -> list[Any]:
        if len(rows) == 1:  # a numpy call takes longer than looking at a few numbers
            return [self._names[rows[0].index(max(rows[0]))]]
        return list(self._classes[np.argmax(shares, axis=1)].tolist())

    def _ask(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        """Return probabilities, or the predictions of a regression: by the plan, without one by the pipeline."""
        if self.bundle.plan is not None:
            return self.bundle.plan.answer(columns, len(next(iter(columns.values()))))
        # Imported here: pandas is needed only where there is no plan.
        from passerelle.domain.candidates.frame import typed_frame

        frame, pipeline = typed_frame(columns, self.bundle.signature.model_inputs), self.bundle.pipeline
        return pipeline.predict(frame) if self._task == "regression" else pipeline.predict_proba(frame)

    def prove(self) -> None:
        """Answer the bundle's own example, and compare with what training wrote beside it.

        Raises BundleError when they differ: the model does not do here what it did in training.
        """
        key = "predictions" if self._task == "regression" else "probabilities"
        try:
            split, expected = self.bundle.example["dataframe_split"], self.bundle.example[key]
            columns = dict(zip(split["columns"], zip(*split["data"], strict=True), strict=True))
            given = self.score(columns)[key]
            same = same_answers(given, expected)
        except Exception as error:  # whatever a library raises for a model that is not what it should be
            raise BundleError(
                f"The model cannot answer its own example: {type(error).__name__}: {error}. "
                "Train it again with this image."
            ) from error
        if not same:
            raise BundleError(
                f"The model answers its own example with {given}, training with {expected}: "
                "the libraries here differ from those of the training image. Deploy the image that trained it."
            )
