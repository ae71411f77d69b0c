"""`make check`: everything that is judged without running the platform."""
