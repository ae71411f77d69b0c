"""The base of every contract: immutable, strict about unknown fields, JSON in and out."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """A record that crosses a process boundary."""

    model_config = ConfigDict(frozen=True, extra="forbid")
