"""Figures as people give them in a workload file: a number, or a range of low, expected and high, with its source."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from passerelle.domain.project.part import Part

Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]


class Amount(Part):
    """A figure between two ends; a single number is known exactly. Without `expected` it is the middle."""

    low: Number
    expected: Number
    high: Number
    source: str = ""
    as_of: date | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_number_is_all_three(cls, given: Any) -> Any:
        if isinstance(given, bool) or given is None or isinstance(given, str | list):
            raise ValueError("is no figure; write a number, or {low: 1, expected: 2, high: 3}")
        if isinstance(given, int | float):
            return {"low": given, "expected": given, "high": given}
        if isinstance(given, dict) and "expected" not in given:
            low, high = given.get("low"), given.get("high")
            if isinstance(low, int | float) and isinstance(high, int | float):
                return {**given, "expected": (low + high) / 2}
        return given

    @model_validator(mode="after")
    def _low_comes_first(self) -> Amount:
        if not self.low <= self.expected <= self.high:
            raise ValueError(
                f"low, expected and high must rise; they are {self.low:g}, {self.expected:g}, {self.high:g}"
            )
        return self


def _above_zero(amount: Amount) -> Amount:
    if amount.low <= 0:
        raise ValueError(f"must be above 0, from its low end on; it is {amount.low:g}")
    return amount


def _not_negative(amount: Amount) -> Amount:
    if amount.low < 0:
        raise ValueError(f"must not be below 0; its low end is {amount.low:g}")
    return amount


def _share(amount: Amount) -> Amount:
    if amount.high > 1:
        raise ValueError(f"is a share, 0 to 1; its high end is {amount.high:g}. Write 0.4 for 40 %")
    return _not_negative(amount)


def _one_or_more(amount: Amount) -> Amount:
    if amount.low < 1:
        raise ValueError(f"is what a building takes over what its machines take, so 1 or more; it is {amount.low:g}")
    return amount


def _growing(amount: Amount) -> Amount:
    if amount.low <= -1 or amount.high > 10:
        raise ValueError("is growth a year, above -1 and up to 10; write 0.1 for 10 % more each year")
    return amount


def _with_ends(amount: Amount) -> Amount:
    if amount.low == amount.high:
        raise ValueError("needs a range, as nobody knows it exactly: {low: …, expected: …, high: …}")
    return amount


Positive = Annotated[Amount, AfterValidator(_above_zero)]
PositiveRange = Annotated[Amount, AfterValidator(_above_zero), AfterValidator(_with_ends)]
NotNegative = Annotated[Amount, AfterValidator(_not_negative)]
Share = Annotated[Amount, AfterValidator(_share)]
ShareRange = Annotated[Amount, AfterValidator(_share), AfterValidator(_above_zero), AfterValidator(_with_ends)]
Overhead = Annotated[Amount, AfterValidator(_one_or_more)]
Growth = Annotated[Amount, AfterValidator(_growing)]
