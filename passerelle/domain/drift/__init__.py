"""Drift: small profiles of windows of data, and what can be said of two of them without their rows.

The way through: `cuts` (how a column is counted) and `counted` (what a window counted) make a `profile`; `tested` and
`effect` compare two, all rows and by `segments`; `judged` decides what is an alarm; `worded` says it. Beside it, how
good a model is while labels are not known: `performance_made` makes a `performance` reference of held-out rows,
`estimated` uses it, and `concept` says why a metric moved once labels are known. NumPy only: SciPy takes a second to
import, and this runs in functions that start cold.
"""
