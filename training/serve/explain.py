"""The optional explanation of each row: what its columns did to the answer."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from passerelle.errors import BundleError
from training.bundle import Bundle
from training.serve.errors import RequestError

if TYPE_CHECKING:
    from training.explain.explainer import Explainer

#: A forest takes some 20 ms of processor a row; SageMaker waits 60 s for an answer.
MAX_EXPLAINED_ROWS: Final = 50


def wants_explanation(attributes: str) -> bool:
    """Tell whether CustomAttributes, `name=value` separated by commas, hold explain=true."""
    given = [attribute.replace(" ", "").lower() for attribute in attributes.split(",")]
    return "explain=true" in given


class RowExplainer:
    """Explains answers of one bundle; what it needs is made when the first caller asks."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._explainer: Explainer | None = None
        self._lock = threading.Lock()

    def explain(self, columns: Mapping[str, Sequence[Any]], predictions: Sequence[Any]) -> dict[str, Any]:
        """Return the answer's `explanations`, one a row, and what they are made of.

        Raises RequestError for too many rows, or a model that was made before there were explanations.
        """
        if len(predictions) > MAX_EXPLAINED_ROWS:
            message = f"{len(predictions):,} rows are too many to explain"
            remedy = f"Ask for the explanations of at most {MAX_EXPLAINED_ROWS} rows a request."
            raise RequestError(400, "too_many_to_explain", message, remedy)
        explainer = self._made()
        found = explainer.explain(columns)
        outputs, totals = explainer.outputs, found.totals
        rows = []
        for row, prediction in enumerate(predictions):
            # Of several classes, the one that was predicted.
            output = outputs.index(str(prediction)) if len(outputs) > 1 else 0
            values = zip(found.columns, found.values[row, :, output].tolist(), strict=True)
            rows.append(
                {
                    "output": outputs[output],
                    "base": float(found.base[output]),
                    "total": float(totals[row, output]),
                    "contributions": dict(values),
                }
            )
        return {"explanations": rows, "explained_by": {"method": found.method, "space": found.space}}

    def _made(self) -> Explainer:
        with self._lock:
            if self._explainer is None:
                from training.explain.explainer import Explainer

                try:
                    self._explainer = Explainer(self._bundle)
                except BundleError as error:
                    message = "this model cannot explain its answers: it was trained without what that needs"
                    raise RequestError(400, "not_explainable", message, "Train it again, or ask without.") from error
            return self._explainer
