"""Tags on everything that costs: bills, budgets and reports tell it apart by them."""

from __future__ import annotations

from typing import Final

PROJECT: Final = "passerelle:project"
ENVIRONMENT: Final = "passerelle:environment"
STAGE: Final = "passerelle:stage"
OWNER: Final = "passerelle:owner"
COST_CENTRE: Final = "passerelle:cost-centre"
#: The run that a job, a model or an endpoint was made for; AWS resources of stacks have none.
RUN: Final = "passerelle:run"
