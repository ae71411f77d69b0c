"""The base of every section of project.yaml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A section: frozen, and every unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
