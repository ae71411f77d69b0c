"""Which names AWS knows: SageMaker's instance types by use, and the regions that have SageMaker.

The file beside this one is made from botocore's model by `python -m tests.contract.aws_names`; a test compares them.
Whether a region really offers a type only an account can tell: `passerelle doctor` asks.
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from pathlib import Path
from typing import Final, Literal

Use = Literal["training", "processing", "endpoint"]
FILE: Final = Path(__file__).with_name("aws_names.json")


@cache
def _names() -> dict[str, list[str]]:
    return dict(json.loads(FILE.read_text(encoding="utf-8")))


def unknown_instance_type(name: str, use: Use) -> str | None:
    """Return what is wrong with an instance type, with the closest ones; None when SageMaker has it for this use."""
    known = _names()[use]
    if name in known:
        return None
    others = [other for other in ("training", "processing", "endpoint") if other != use and name in _names()[other]]
    where = f" (only for {' and '.join(others)})" if others else ""
    return f"SageMaker has no {name} for {use}{where}; {_closest(name, known)}"


def unknown_region(name: str) -> str | None:
    """Return what is wrong with a region's name; None when SageMaker is there."""
    known = _names()["regions"]
    return None if name in known else f"AWS has no SageMaker in a region {name}; {_closest(name, known)}"


def _closest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"did you mean {', '.join(close)}?"
    return "see https://aws.amazon.com/sagemaker/pricing/ for those that there are"
