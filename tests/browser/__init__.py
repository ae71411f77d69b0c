"""A real browser for tests: Chromium from npm, driven by its own protocol through pipes."""
