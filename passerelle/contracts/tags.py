"""Tags on everything that costs: bills, budgets and reports tell it apart by them."""

from __future__ import annotations

from typing import Final

PROJECT: Final = "passerelle:project"
ENVIRONMENT: Final = "passerelle:environment"
STAGE: Final = "passerelle:stage"
OWNER: Final = "passerelle:owner"
COST_CENTRE: Final = "passerelle:cost-centre"
