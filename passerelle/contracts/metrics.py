"""Metrics that the platform itself writes: whoever writes them, dashboards and alarms read them by these names."""

from __future__ import annotations

from typing import Final

#: Namespace of everything that the platform measures of itself.
NAMESPACE: Final = "Passerelle"
#: USD, of the month so far and of the whole month, by (environment) and by (environment, project).
COST_TO_DATE: Final = "CostMonthToDate"
COST_FORECAST: Final = "CostForecast"
ENVIRONMENT: Final = "Environment"
PROJECT: Final = "Project"
