"""The gate: what a model must show on the newest period before it may reach an endpoint."""

from passerelle.domain.gate.checks import Evidence, check_gate, verdict_in_words
from passerelle.domain.gate.comparison import Comparison, compare

__all__ = ["Comparison", "Evidence", "check_gate", "compare", "verdict_in_words"]
