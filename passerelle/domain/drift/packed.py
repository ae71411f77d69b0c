"""Arrays in JSON: base64 of little-endian numbers, a third of the length of digits."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def pack(array: Array) -> dict[str, Any]:
    """Return an array of floating-point numbers as JSON holds it."""
    kind = "<f4" if array.dtype == np.float32 else "<f8"
    text = base64.b64encode(np.ascontiguousarray(array, kind).tobytes()).decode()
    return {"kind": kind, "shape": list(array.shape), "data": text}


def unpack(found: Mapping[str, Any]) -> Array:
    """Return the array that `pack` gave."""
    flat = np.frombuffer(base64.b64decode(found["data"]), np.dtype(found["kind"]))
    return flat.reshape(found["shape"]).copy()
