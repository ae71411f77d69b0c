"""What waits to be done beside the callers: bounded in number and in bytes, so that a slow receiver costs no memory."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
MAX_ITEMS: Final = 10_000
MAX_BYTES: Final = 64 * 1024**2


class Backlog(Generic[Item]):
    """A queue that refuses what it has no room for instead of making anybody wait. Thread-safe."""

    def __init__(self, *, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES) -> None:
        self._max_items, self._max_bytes = max_items, max_bytes
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes, self._open, self._changed = 0, True, threading.Condition()
        self.refused = 0

    def offer(self, item: Item, size: int) -> bool:
        """Keep an item of so many bytes; False, and counted, when there is no room."""
        with self._changed:
            fits = len(self._items) < self._max_items and self._bytes + size <= self._max_bytes
            if not fits or not self._open:
                self.refused += 1
                return False
            self._items.append((item, size))
            self._bytes += size
            self._changed.notify()
            return True

    def take(self) -> Item | None:
        """Wait for the next item; None when the backlog is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or not self._open)
            if not self._open:
                return None
            item, size = self._items.popleft()
            self._bytes -= size
            return item

    def take_all(self) -> list[Item]:
        """Return everything that waits now."""
        with self._changed:
            items = [item for item, _ in self._items]
            self._items.clear()
            self._bytes = 0
            return items

    def close(self) -> None:
        """Take nothing more; who waits in `take` goes."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
