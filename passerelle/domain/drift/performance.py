"""What a model's answers were worth on rows that it did not learn from: kept in its bundle in place of those rows.

A small second model says what is to be expected of a row: of its score (CBPE: calibrate, then take each probability at
its word) and of its inputs, so that rows which moved to where the model is worse are expected to be worse. NannyML's
PAPE (Białek et al., arXiv 2401.08348) reaches the same end by weighting the reference towards each window; that needs
the reference's rows and a fit per window, and such estimates do not add up. Errors of a regression and the log loss of
several classes are expected directly (DLE), by a model of the same form. How much the model says beyond a straight line
of the score is chosen on blocks of the reference that it did not see. Measured: bench/README.md, "Estimates".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.classes import Classes
from passerelle.domain.drift.coarse import Coding, coded_matrix, coding_from_dict
from passerelle.domain.drift.form import LayoutError, read_form
from passerelle.domain.drift.outputs import OutputCuts
from passerelle.domain.drift.packed import pack, unpack
from passerelle.domain.drift.ridge import predicted
from passerelle.domain.drift.sums import TARGETS, Layout, Money

Array = npt.NDArray[Any]

#: Of the file's form; another form's reference is refused with the remedy.
FORMAT: Final = 2


@dataclass(frozen=True, kw_only=True)
class PerformanceReference:
    """What makes an estimate of a window.

    `coefficients` has by target the second model, shape (k, 1 + replicates); `spreads` how far rows lie from their
    expectation; `wander` by metric the standard deviation from one block of the reference to another that chance does
    not explain: what changes by itself, and will again; `baseline` by metric what is expected of the reference's own
    rows, shape (1 + replicates,), and `scatter` how far that of single rows lies apart: of n rows, by its n-th root.
    """

    layout: Layout
    outputs: OutputCuts
    codings: tuple[Coding, ...]
    coefficients: Mapping[str, Array]
    spreads: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    wander: Mapping[str, float] = field(default_factory=dict)
    baseline: Mapping[str, Array] = field(default_factory=dict)
    scatter: Mapping[str, float] = field(default_factory=dict)
    rows: int

    def expected(self, answers: Array, columns: Mapping[str, Any]) -> dict[str, Array]:
        """Return by target what is expected of each row, shape (n, 1 + replicates)."""
        inputs = coded_matrix(self.codings, columns, len(answers))
        designs = designs_of(self.layout, self.outputs, inputs, answers)
        return {name: self._bounded(name, design) for name, _, design in designs}

    def _bounded(self, name: str, design: Array) -> Array:
        logistic = self.layout.targets[name]
        found = predicted(design, self.coefficients[name], logistic=logistic)
        return found if logistic else np.clip(found, *self.limits[name])

    @cached_property
    def id(self) -> str:
        """Twelve hex digits: windows that were added up by one id can be added."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """Return the reference as compact JSON, at most about 100 KB, of several classes 30 KB more for each."""
        layout = asdict(self.layout) | {"money": self.layout.money and list(self.layout.money)}
        if self.layout.classes is None:
            del layout["classes"]  # references of other tasks keep their ids
        found = {
            "format": FORMAT,
            "layout": layout,
            "outputs": asdict(self.outputs),
            "codings": [asdict(coding) for coding in self.codings],
            "coefficients": {name: pack(part) for name, part in self.coefficients.items()},
            "spreads": dict(self.spreads),
            "limits": {name: list(ends) for name, ends in self.limits.items()},
            "wander": dict(self.wander),
            "baseline": {name: pack(part) for name, part in self.baseline.items()},
            "scatter": dict(self.scatter),
            "rows": self.rows,
        }
        return json.dumps(found, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the reference that `to_json` gave.

        Raises LayoutError for one of another form, InputError for what is none.
        """
        found = read_form(text, FORMAT, "performance reference")
        layout = found["layout"]
        money = Money(*layout["money"]) if layout["money"] else None
        classes = Classes.from_dict(layout["classes"]) if "classes" in layout else None
        if layout["task"] == "multiclass" and classes is None:
            raise LayoutError("The performance reference does not name its classes. Make it again by this version.")
        return cls(
            layout=Layout(**{**layout, "cuts": tuple(layout["cuts"]), "money": money, "classes": classes}),
            outputs=OutputCuts.from_dict(found["outputs"]),
            codings=tuple(coding_from_dict(coding) for coding in found["codings"]),
            coefficients={name: unpack(part) for name, part in found["coefficients"].items()},
            spreads=found["spreads"],
            limits={name: (ends[0], ends[1]) for name, ends in found["limits"].items()},
            wander=found["wander"],
            baseline={name: unpack(part) for name, part in found["baseline"].items()},
            scatter=found["scatter"],
            rows=found["rows"],
        )


def designs_of(
    layout: Layout, outputs: OutputCuts, inputs: Array, answers: Array
) -> Iterator[tuple[str, OutputCuts, Array]]:
    """Yield by target what the second model sees of rows, and by which cuts: of a class, its own probability."""
    design = _design(outputs, inputs, answers)
    for name in TARGETS[layout.task]:
        yield name, outputs, design
    if layout.classes is not None:
        for place, (name, cuts) in enumerate(zip(layout.classes.targets, layout.classes.cuts, strict=True)):
            yield name, cuts, _design(cuts, inputs, answers[:, place])


def _design(outputs: OutputCuts, inputs: Array, answers: Array) -> Array:
    """Return what a second model sees, shape (n, k): the answer, the coded inputs, and the answer's slope by them.

    The slope is what tells inputs where scores mean less from others: a shift of levels alone would not.
    """
    of_answers = outputs.design(answers)
    return np.hstack([of_answers, inputs, inputs * of_answers[:, 1:2]])
