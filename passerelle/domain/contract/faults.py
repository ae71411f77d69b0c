"""What can be wrong with a row before any rule of the contract is asked: its shape, or cells that are no text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Fault:
    """What a row must be, and how to make it so. Of a `whole` row no cell could be read."""

    rule: str
    remedy: str
    whole: bool = False


FAULTS_OF_ROWS: Final = {
    "ragged_row": Fault(
        "must have as many fields as the header",
        "Quote fields that hold the delimiter; remove stray delimiters and line ends.",
        whole=True,
    ),
    "not_json": Fault(
        "must be one JSON object", "Write one object per line, with its strings in double quotes.", whole=True
    ),
    "repeated_key": Fault("must name each key once", "Remove or rename the repeated key."),
    "nested_value": Fault("must be a single value", "Flatten it: one value per cell, one key per field."),
    "encoding": Fault("must be UTF-8 text", "Write the column as text in UTF-8, or leave it out of the contract."),
    "nul": Fault("must not hold a NUL character", "Remove the NUL characters: the file may be UTF-16 or damaged."),
    "surrogate": Fault("must be valid Unicode", "Write each \\u escape of a surrogate pair in full."),
}
