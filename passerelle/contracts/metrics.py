"""Metrics that the platform itself writes: whoever writes them, dashboards and alarms read them by these names."""

from __future__ import annotations

from typing import Final

#: Namespace of everything that the platform measures of itself.
NAMESPACE: Final = "Passerelle"
#: USD, of the last whole day, of the month so far and of the whole month, by (environment) and by (environment,
#: project), of the ledger's lines with a price.
COST_OF_DAY: Final = "CostOfDay"
COST_TO_DATE: Final = "CostMonthToDate"
COST_FORECAST: Final = "CostForecast"
#: What the ledger could not read of AWS's answers or of its own files; namespace as for BROKEN_LINES.
UNMETERED: Final = "Unmetered"
#: Lines that an endpoint captured or logged and that are no predictions; its namespace is `Passerelle/<environment>`,
#: as a filter of logs has no dimension for the environment.
BROKEN_LINES: Final = "BrokenCapturedLines"
#: Of a project's windows, by (environment, project), at the moment when they were judged. How severe the gravest alarm
#: of a kind is, 0 (none) to 3 (major): of what comes or stays away, of values that are broken, of columns that moved,
#: of the model's own answers, of its worth as estimated and as labels show it.
ARRIVALS_SEVERITY: Final = "ArrivalsSeverity"
QUALITY_SEVERITY: Final = "DataQualitySeverity"
DRIFT_SEVERITY: Final = "DataDriftSeverity"
ANSWERS_SEVERITY: Final = "AnswersSeverity"
#: What the project's metric probably is, before labels are known, what they show, and how severe its loss is.
ESTIMATED: Final = "EstimatedPerformance"
REALISED: Final = "RealisedPerformance"
#: Money of a window's predictions, by `why.value` of the project and in its currency: of all of them as estimated, of
#: those with a label as labels show.
ESTIMATED_GAIN: Final = "EstimatedGain"
REALISED_GAIN: Final = "RealisedGain"
WORTH_SEVERITY: Final = "PerformanceSeverity"
#: Predictions of a window, and how many windows were looked at: what watches is itself watched by the latter.
WINDOW_ROWS: Final = "WindowRows"
WINDOWS: Final = "WindowsWatched"
ENVIRONMENT: Final = "Environment"
PROJECT: Final = "Project"
