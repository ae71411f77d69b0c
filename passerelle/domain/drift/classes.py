"""What windows of several classes add up to, and the metrics of it: of expected labels or of true ones.

How probable each class is comes from a small second model of its own: a row of a kind that the model confuses counts
for the classes that it is confused with. So the rows that a class truly has are known as well as those found by it, and
with them the metrics that weigh all classes alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from passerelle.domain.calibration import CLIP
from passerelle.domain.drift.outputs import OutputCuts

Array = npt.NDArray[Any]
Sums = dict[str, Array]

#: The place of a class that the model does not know: it was wrong, and gave it no probability.
STRANGER: Final = -1
#: Of more classes only what the likeliest one says is estimated: each has a second model of its own.
MOST_CLASSES: Final = 12
#: Metrics that weigh all classes alike.
OF_EACH_CLASS: Final = ("balanced_accuracy", "macro_f1")
METRICS: Final = ("accuracy", *OF_EACH_CLASS, "log_loss")
#: A class of fewer rows is not there.
_SOME: Final = 0.5
#: Labels of unknown classes are together one more class once they are so many, and this share of all: not by one slip.
_STRANGERS, _STRANGE_SHARE = 5, 0.01


@dataclass(frozen=True, kw_only=True)
class Classes:
    """A model's classes by their `names`, in the order of its probabilities, and the `cuts` of each one's; none of
    more than MOST_CLASSES. `strange` is the share of the reference's rows whose class the model does not know.
    """

    names: tuple[str, ...]
    cuts: tuple[OutputCuts, ...]
    strange: float = 0.0

    @classmethod
    def of(cls, names: Sequence[str], answers: Array, places: Array) -> Self:
        """Return the classes of a model with these answers, shape (n, classes), to the reference's rows."""
        few = len(names) <= MOST_CLASSES
        cuts = tuple(OutputCuts.of("binary", column) for column in answers.T) if few else ()
        return cls(names=tuple(names), cuts=cuts, strange=float(np.mean(places < 0)))

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Return the classes that JSON holds."""
        cuts = tuple(OutputCuts.from_dict(each) for each in found["cuts"])
        return cls(names=tuple(found["names"]), cuts=cuts, strange=found["strange"])

    @property
    def targets(self) -> tuple[str, ...]:
        """What is expected of each row besides, by class: whether it is the true one."""
        return tuple(f"class {place}" for place in range(len(self.cuts)))

    def places(self, labels: Any) -> Array:
        """Return the places of classes by name: STRANGER of one that is not known, NaN without a label; shape (n,)."""
        known = {name: float(place) for place, name in enumerate(self.names)}
        found = (np.nan if label is None else known.get(str(label), float(STRANGER)) for label in labels)
        return np.fromiter(found, np.float64, len(labels))

    def targets_of(self, answers: Array, places: Array) -> dict[str, Array]:
        """Return what true classes make of each row, each of shape (n,)."""
        own = np.clip(answers[np.arange(len(places)), np.maximum(places, 0)], CLIP, 1)
        return {
            "correct": (np.argmax(answers, axis=1) == places).astype(np.float64),
            "log_loss": -np.log(np.where(places >= 0, own, CLIP)),
            "strange": (places < 0).astype(np.float64),
            **{name: (places == place).astype(np.float64) for place, name in enumerate(self.targets)},
        }

    def add_up(self, answers: Array, targets: Mapping[str, Array]) -> Sums:
        """Return by class the rows that were `decided` so, that were `found` by it, and that truly `held` it; and of
        how many the class is `strange`.

        Parameters
        ----------
        targets : of each class, expected or true, shape (n, m); `strange` where the truth is known.
        """
        if not self.cuts:
            return {}
        decided = np.argmax(answers, axis=1)
        each = [(decided == place, targets[name]) for place, name in enumerate(self.targets)]
        held = np.stack([part.sum(axis=0, dtype=np.float64) for _, part in each], axis=1)
        if "strange" in targets:
            strange = targets["strange"].sum(axis=0, dtype=np.float64)
        else:
            strange = np.full(len(held), self.strange * len(answers))
        return {
            "decided": np.array([chosen.sum() for chosen, _ in each], np.float64),
            "found": np.stack([part[chosen].sum(axis=0, dtype=np.float64) for chosen, part in each], axis=1),
            "held": held,
            "strange": strange,
        }

    def drawn(self, rows: int, sums: Mapping[str, Array], columns: Array, rng: np.random.Generator) -> Sums:
        """Return sums of labels as they may turn out: by the `columns` of the reference's uncertainty, then chance."""
        if not self.cuts:
            return {}
        decided, expected = sums["decided"], sums["found"][columns]
        share = np.clip(expected / np.maximum(decided, 1), 0, 1)
        chance = np.sqrt(decided * share * (1 - share)) * rng.standard_normal(expected.shape)
        found = np.clip(expected + chance, 0, decided)
        missed = np.maximum(sums["held"][columns] - expected, 0)
        missed = np.maximum(missed + np.sqrt(missed) * rng.standard_normal(missed.shape), 0)
        # A row that was not found is another class's.
        strange = sums["strange"][columns]
        left = np.maximum(rows - found.sum(axis=1) - strange, 0)
        missed *= (left / np.maximum(missed.sum(axis=1), CLIP))[:, None]
        return {"decided": decided, "found": found, "held": found + missed, "strange": strange}

    def reasons(self, sums: Mapping[str, Array], least: int) -> dict[str, str]:
        """Return by metric why these sums make none of it."""
        if not self.cuts:
            why = f"Of {len(self.names)} classes it is not known, of at most {MOST_CLASSES} it is."
            return dict.fromkeys(OF_EACH_CLASS, why)
        held = sums["held"][0]
        rarest = int(np.argmin(held))
        if held[rarest] >= least:
            return {}
        why = f"About {held[rarest]:.1f} rows of class {self.names[rarest]}: {least} are needed of each."
        return dict.fromkeys(OF_EACH_CLASS, why)


def metrics_of_classes(rows: int, sums: Mapping[str, Array]) -> dict[str, Array]:
    """Return each metric, shape (m,) for m columns of sums: of the classes that the rows or the answers have."""
    plain = {"accuracy": sums["correct"] / rows, "log_loss": np.maximum(sums["log_loss"] / rows, 0)}
    if "found" not in sums:
        return plain | dict.fromkeys(OF_EACH_CLASS, np.full(len(sums["correct"]), np.nan))
    found, held, decided = sums["found"], sums["held"], sums["decided"]
    there, both = held >= _SOME, held + decided
    either = both >= _SOME
    strange = sums["strange"] >= max(_STRANGERS, _STRANGE_SHARE * rows)
    recall, shared = found / np.maximum(held, CLIP), 2 * found / np.maximum(both, CLIP)
    return plain | {
        "balanced_accuracy": (recall * there).sum(axis=1) / (there.sum(axis=1) + strange),
        "macro_f1": (shared * either).sum(axis=1) / (either.sum(axis=1) + strange),
    }
