"""The features that a project derives of its columns, as project.yaml declares them; features.py computes them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from passerelle.contracts.bundle import DerivedType
from passerelle.domain.project.part import Part


class DerivedColumn(Part):
    """A column that features.py returns; it may always be missing."""

    name: str = Field(min_length=1)
    type: DerivedType
    sensitivity: Literal["none", "sensitive"] = "none"
    description: str = ""


class Features(Part):
    """A file beside project.yaml with `features(rows)`, and the columns that it returns.

    They are declared here, so that whatever reads project.yaml knows them without running the file.
    """

    file: str = Field(default="features.py", pattern=r"^[A-Za-z_][A-Za-z0-9_]*\.py$")
    columns: tuple[DerivedColumn, ...] = Field(min_length=1)
