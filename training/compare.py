"""Entry `compare`: a run's model and the one that was trained again, on the same test rows, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.contracts.comparison import Comparison
from passerelle.contracts.container import COMPARISON_FILE, ORIGINAL
from passerelle.errors import InputError
from training.bundle import Bundle, load_bundle
from training.paths import base_dir, channel
from training.progress import tell
from training.project_archive import read_project
from training.train.data import read_rows
from training.train.predict import Predicted, predict

#: A GPU adds in no fixed order and bins otherwise than a processor, so that a tree may split elsewhere: what it fitted
#: counts as reproduced within this share of the outputs' scale (1 for a probability).
OTHER_DEVICE: Final = 0.01


def main() -> int:
    """Run the entry in the layout of a training job whose model is trained; the run's own bundle is beside it."""
    own = bool(read_project(channel("project")).training.model)
    original, again = (load_bundle(base_dir() / name, project_code=own) for name in (ORIGINAL, "model"))
    result = compare(original, again, channel("test"))
    (base_dir() / "output" / "data" / COMPARISON_FILE).write_text(result.model_dump_json(indent=2), encoding="utf-8")
    tell("models_compared", **result.model_dump())
    return 0


def compare(original: Bundle, again: Bundle, test: Path) -> Comparison:
    """Return how two models differ on the rows of a folder.

    Raises InputError for models of other tasks or classes, which no number compares.
    """
    if original.signature.task != again.signature.task or original.signature.classes != again.signature.classes:
        raise InputError(
            f"The run's model is of {original.signature.task} {list(original.signature.classes)}, the one trained "
            f"again of {again.signature.task} {list(again.signature.classes)}: the data or the project is another."
        )
    first, second = _predicted(original, test), _predicted(again, test)
    ours, theirs = _numbers(first), _numbers(second)
    unequal = ~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    gaps = np.abs(ours - theirs)[unequal]
    return Comparison(
        rows=len(ours),
        output="predictions" if first.probabilities is None else "probabilities",
        equal=not unequal.any(),
        different=int(unequal.any(axis=1).sum()),
        decisions=int((first.predictions != second.predictions).sum()),
        largest=float(np.nanmax(gaps, initial=0.0)),
        tolerance=_tolerance(original, again, first),
    )


def _tolerance(original: Bundle, again: Bundle, predicted: Predicted) -> float:
    """Return by how much outputs may differ: a regression's scale is the standard deviation of the run's predictions.

    Between processors nothing may.
    """
    if "cuda" not in {bundle.metadata.machine.get("device") for bundle in (original, again)}:
        return 0.0
    return OTHER_DEVICE * (1.0 if predicted.probabilities is not None else float(np.std(predicted.predictions)))


def _predicted(bundle: Bundle, test: Path) -> Predicted:
    rows = read_rows(test, bundle.signature.model_inputs, bundle.signature.task)
    return predict(bundle.pipeline, rows.frame, bundle.signature.task)


def _numbers(predicted: Predicted) -> npt.NDArray[Any]:
    """Return what is compared, of shape (n_rows, n_outputs)."""
    numbers = predicted.predictions if predicted.probabilities is None else predicted.probabilities
    return np.asarray(numbers, dtype=np.float64).reshape(len(predicted.predictions), -1)
