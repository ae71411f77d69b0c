"""Entry `count`: what the records of a window of predictions count, where they are too many for a function."""
