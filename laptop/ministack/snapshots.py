"""Save MiniStack's state while it runs: by itself it saves only when it stops in good order."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

LOG: Final = logging.getLogger(__name__)
EVERY_SECONDS: Final = 1.5
#: A service whose state takes long to write is written less often, so that none costs more than this share of a core;
#: but no less often than this, whatever it costs.
SHARE: Final = 0.03
LONGEST_PAUSE_SECONDS: Final = 10.0
#: What changes with neither a request nor a running execution (a message buried by a retry) is saved by then.
AT_LEAST_EVERY_SECONDS: Final = 30.0
ATTEMPTS: Final = 5


@dataclass
class _Saved:
    """When a service was last looked at, what that cost, and what was written."""

    moment: float = float("-inf")
    cost: float = 0.0
    digest: str = ""

    def due(self, now: float) -> bool:
        return now - self.moment >= min(self.cost / SHARE, LONGEST_PAUSE_SECONDS)


class Snapshots:
    """Writes each service's state to its file when it has changed; a crash loses at most the last seconds."""

    def __init__(self, folder: Path, *, busy: Callable[[], bool] = lambda: False) -> None:
        self._folder, self._busy = folder, busy
        self._saved: dict[str, _Saved] = {}
        self._changed = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def touch(self) -> None:
        """Something may have changed."""
        self._changed.set()

    def close(self) -> None:
        """Stop; MiniStack itself saves once more on its way out."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def save(self) -> bool:
        """Write what has changed and is due; returns whether nothing is left for later."""
        import ministack.app as app
        from ministack.core import persistence

        complete = True
        for service, get_state in app._build_persistence_save_dict().items():
            saved = self._saved.setdefault(service, _Saved())
            # Its own work is what a snapshot costs: on a busy machine it only waits.
            started = time.thread_time()
            if not saved.due(time.monotonic()):
                complete = False
                continue
            text = _encoded(service, get_state, persistence)
            if text is not None:
                self._write(service, text, saved)
            saved.moment = time.monotonic()
            saved.cost = time.thread_time() - started
        return complete

    def _write(self, service: str, text: str, saved: _Saved) -> None:
        data = text.encode()
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        if saved.digest == digest:
            return
        path = self._folder / f"{service}.json"
        partial = path.with_suffix(".partial")
        partial.write_bytes(data)
        os.replace(partial, path)
        saved.digest = digest

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(EVERY_SECONDS):
            late = time.monotonic() - last > AT_LEAST_EVERY_SECONDS
            if not (self._changed.is_set() or late or self._busy()):
                continue
            self._changed.clear()
            try:
                complete = self.save()
            except OSError:
                LOG.exception("the state cannot be saved")  # a full disk may have room again later
                complete = False
            last = time.monotonic()
            if not complete:
                self._changed.set()


def _encoded(service: str, get_state: Any, persistence: Any) -> str | None:
    """Return a service's state as its file holds it; a state that changes meanwhile is tried again."""
    for _ in range(ATTEMPTS):
        try:
            state = get_state()
            if state is None:
                return None
            payload = "".join(_chunks(state, persistence._json_default))
            return f'{{"__ministack_format__": {persistence._state_format_version(service)}, "payload": {payload}}}'
        except RuntimeError:  # a dictionary changed size while it was walked
            time.sleep(0.01)
        except Exception:
            LOG.exception("the state of %s cannot be saved", service)
            return None
    LOG.warning("the state of %s changes too fast to be saved; next time", service)
    return None


def _chunks(value: Any, default: Callable[[Any], Any], depth: int = 4) -> Iterator[str]:
    """Encode as JSON piece by piece: one long call of the encoder would hold up every other thread."""
    if type(value).__name__ in _SCOPED:
        value = default(value)
    if not depth or not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        yield json.dumps(value, default=default)
        return
    separator = ""
    yield "{"
    for key, item in value.items():
        yield f"{separator}{json.dumps(key)}: "
        yield from _chunks(item, default, depth - 1)
        separator = ", "
    yield "}"


#: MiniStack's dictionaries per account and region, which only its own `default` can encode.
_SCOPED: Final = ("AccountScopedDict", "AccountRegionScopedDict")
