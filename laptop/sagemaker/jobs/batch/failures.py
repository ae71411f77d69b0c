"""How a transform job fails: on one object, or as a whole."""

from __future__ import annotations


class ObjectError(Exception):
    """One object cannot be transformed; `blame` is ClientError or AlgorithmError, the text goes to the data log."""

    def __init__(self, blame: str, message: str) -> None:
        super().__init__(message)
        self.blame = blame


class TransformError(Exception):
    """The job fails; the text becomes FailureReason."""
