"""What SIGTERM does to a job: it ends at once, or, where its state is in between, at the next whole one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final


class StoppedError(BaseException):
    """SageMaker sent SIGTERM: the job is being stopped or its spot instance reclaimed.

    No Exception: it may come up inside any library, and `except Exception` there must not take it for its own.
    """


class Sigterm:
    """The handler of SIGTERM. SageMaker's SIGKILL follows after 120 s, so nothing may hold it for long."""

    def __init__(self) -> None:
        self.asked = False
        self._held = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if not self._held:
            self.stop()

    def stop(self) -> None:
        """Raise StoppedError."""
        raise StoppedError("SIGTERM; finished work is in the checkpoints")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the block look at `asked` where it can stop; an order that it did not heed stops the job at its end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self.asked:
                self.stop()


SIGTERM: Final = Sigterm()
