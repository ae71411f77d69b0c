"""Metrics that the platform itself writes: whoever writes them, dashboards and alarms read them by these names."""

from __future__ import annotations

from typing import Final

#: Namespace of everything that the platform measures of itself.
NAMESPACE: Final = "Passerelle"
#: USD, of the month so far and of the whole month, by (environment) and by (environment, project).
COST_TO_DATE: Final = "CostMonthToDate"
COST_FORECAST: Final = "CostForecast"
#: Lines that an endpoint captured or logged and that are no predictions; its namespace is `Passerelle/<environment>`,
#: as a filter of logs has no dimension for the environment.
BROKEN_LINES: Final = "BrokenCapturedLines"
ENVIRONMENT: Final = "Environment"
PROJECT: Final = "Project"
