"""A project's own features: expressions of features.py, checked, compiled to SQL, and run wherever rows are."""
