"""What a policy of retraining was worth: how well its champions told late flights, and what that brought and cost."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.year_laptop import Look
from passerelle.domain.cost.prices import find_price
from passerelle.domain.project.model import Value

Array = npt.NDArray[Any]
REGION: Final = "us-east-1"
#: Of the function that looks at windows: its memory, and the states of an execution.
LOOK_GB: Final = 2.0
LOOK_TRANSITIONS: Final = 5
DRAWS: Final = 300


@dataclass(frozen=True)
class Interval:
    """A difference with its 95 % interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Compared:
    """The monitored policy beside another: the differences of mean monthly ROC AUC and of USD, above 0 for better.

    `beaten` where neither is below 0 and one is above.
    """

    auc: Interval
    usd: Interval
    beaten: bool


def money_of(decided: Array, late: Array, value: Value) -> Array:
    """Return what each decision was worth in the project's money."""
    right, wrong = (value.true_positive, value.true_negative), (value.false_positive, value.false_negative)
    positive = np.where(late, right[0], wrong[0])
    negative = np.where(late, wrong[1], right[1])
    return np.where(decided, positive, negative).astype(float)


def auc(rows: pd.DataFrame) -> float:
    """Return the ROC AUC of answers, NaN where all flights were late, or none."""
    late, ranks = rows["late"].to_numpy(bool), rows["score"].rank().to_numpy()
    count, others = int(late.sum()), int((~late).sum())
    if not count or not others:
        return float("nan")
    return float((ranks[late].sum() - count * (count + 1) / 2) / (count * others))


def mean_auc(rows: pd.DataFrame) -> float:
    """Return the mean of the months' ROC AUC."""
    return float(np.mean([auc(part) for _, part in rows.groupby("month")]))


def watching_usd(looks: Sequence[Look], days: int) -> float:
    """Return what watching a project costs on AWS for so many days, with one look a day as its schedule has it.

    The time is an execution's, which is more than is billed; S3, DynamoDB and logs are not counted.
    """
    gb_second, transition = (
        find_price(service, REGION, sku)
        for service, sku in (("Lambda arm64", "duration 0-7.5B GB-s"), ("Step Functions Standard", "state transition"))
    )
    if not looks or gb_second is None or transition is None:
        return 0.0
    seconds = float(np.mean([look.seconds for look in looks]))
    return days * (LOOK_GB * seconds * gb_second.usd + LOOK_TRANSITIONS * transition.usd / 1_000)


def compare(
    monitored: pd.DataFrame, other: pd.DataFrame, *, saved: float, seed: int = 0, draws: int = DRAWS
) -> Compared:
    """Compare two policies' answers to the same flights; `saved` USD is what the monitored one costs less.

    Whole days are drawn again, within months, as flights of a day are late together.
    """
    days = [part["day"].unique() for _, part in monitored.groupby("month")]
    both = [dict(tuple(frame.groupby("day"))) for frame in (monitored, other)]
    generator = np.random.default_rng(seed)
    differences = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for _ in range(draws):
            drawn = [day for month in days for day in generator.choice(month, len(month))]
            first, second = (pd.concat([frame[day] for day in drawn]) for frame in both)
            differences.append((mean_auc(first) - mean_auc(second), first["usd"].sum() - second["usd"].sum() + saved))
    found = mean_auc(monitored) - mean_auc(other), float(monitored["usd"].sum() - other["usd"].sum()) + saved
    limits = np.quantile(np.asarray(differences), [0.025, 0.975], axis=0)
    auc_found, usd_found = (Interval(found[at], float(limits[0][at]), float(limits[1][at])) for at in (0, 1))
    return Compared(auc_found, usd_found, beaten=min(found) >= 0 and max(found) > 0)


def joined(answers: pd.DataFrame, flights: Mapping[str, Sequence[bool | None]]) -> pd.DataFrame:
    """Return answers to flights that arrived, with whether they were late; `flights` by inference id."""
    known = [flights[one][row] for one, row in zip(answers["inference_id"], answers["request_row"], strict=True)]
    rows = answers.assign(late=pd.Series(known, index=answers.index, dtype=object))
    return rows[rows["late"].notna()].astype({"late": bool})
