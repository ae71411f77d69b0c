"""The form of what a bundle keeps for drift: JSON that names its form by a number."""

from __future__ import annotations

import json
from typing import Any

from passerelle.errors import InputError


class LayoutError(InputError):
    """Something of another layout or form: what it counted means something else."""


def read_form(text: str | bytes, form: int, name: str) -> dict[str, Any]:
    """Return the JSON of a reference of this form.

    Parameters
    ----------
    name : what it is called in an error.

    Raises LayoutError for one of another form, InputError for what is no JSON.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InputError(f"The {name} is no JSON ({error}). Take it from the model's bundle.") from error
    if not isinstance(found, dict) or found.get("format") != form:
        raise LayoutError(
            f"The {name} has another form than this version's. Train the model again: its bundle then has one that "
            "this version reads."
        )
    return found
