"""A project with the inputs of `tests.serving`, an entity of which callers send all, and columns that tell people."""

from __future__ import annotations

from typing import Any

import yaml

from passerelle.contracts.bundle import TaskType
from passerelle.domain.project import Project, load_project
from tests.e2e.projects import project_document
from tests.serving import INPUTS


def flights_like(task: TaskType = "binary", *, personal: tuple[str, ...] = (), entity: Any = "tailnum") -> Project:
    """Return the project; `personal` columns are declared as such."""
    document = project_document("flights", task)
    label = document["data"]["label"]["column"]
    columns: list[dict[str, Any]] = [
        {"name": item.name, "type": item.type, "nullable": item.nullable} for item in INPUTS
    ]
    columns += [{"name": "passenger", "type": "text", "nullable": True, "role": "ignored"}]
    columns += [{"name": label, "type": "category" if task == "multiclass" else "integer", "nullable": True}]
    columns += [{"name": "landed", "type": "number", "nullable": True, "role": "leakage"}]
    for column in columns:
        if column["name"] in personal:
            column["sensitivity"] = "personal"
    document["data"] |= {"columns": columns, "entity_id": entity, "event_time": "time_hour"}
    document["task"]["segments"] = []
    return load_project(yaml.safe_dump(document), source="test")
