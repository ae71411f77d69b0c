"""The production variants of a project's endpoint: in captured data, metrics and records, models are told by them."""

from __future__ import annotations

from typing import Final

#: What serves; through updates, the variant keeps its name (developer guide, "Deployment guardrails").
VARIANT: Final = "champion"
#: What stands beside it: in its shadow, or in an A/B test.
SHADOW_VARIANT: Final = "challenger"
