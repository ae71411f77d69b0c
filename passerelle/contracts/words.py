"""How a text is read as a value: one set of words for training (the data contract) and serving (a request).

A word that meant "missing" to one and a category to the other would be a skew that nobody sees.
"""

from __future__ import annotations

from typing import Final

#: What is cut off both ends of a text: DuckDB's TRIM of ASCII white space, not Unicode's.
WHITE_SPACE: Final = " \t\n\r\v\f"
#: Words for a missing value, unless the project declares its own (data.null_values); an empty text always is one.
NULL_WORDS: Final = ("", "NA", "N/A", "NULL", "null", "NaN", "nan")
#: The greatest single-precision number: forests compute with no other, so that no model is asked with one beyond.
MAX_NUMBER: Final = 3.4028234663852886e38
TRUE_WORDS: Final = ("true", "t", "yes", "y", "1")
FALSE_WORDS: Final = ("false", "f", "no", "n", "0")
#: ISO 8601 only: a date in another order must not be guessed.
ISO_MOMENT: Final = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)?)?"
