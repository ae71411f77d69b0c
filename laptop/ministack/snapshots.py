"""Save MiniStack's state while it runs: by itself it saves only when it stops in good order."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Final

LOG: Final = logging.getLogger(__name__)
EVERY_SECONDS: Final = 1.5


class Snapshots:
    """Writes each service's state to its file when it has changed; a crash loses at most the last seconds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; MiniStack itself saves once more on its way out."""
        self._stop.set()
        self._thread.join(30)

    def save(self) -> int:
        """Write what has changed; returns how many services had."""
        import ministack.app as app
        from ministack.core import persistence

        changed = 0
        for service, get_state in app._build_persistence_save_dict().items():
            text = self._encoded(service, get_state, persistence)
            if text is None:
                continue
            digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
            if self._written.get(service) == digest:
                continue
            path = self._folder / f"{service}.json"
            partial = path.with_suffix(".partial")
            partial.write_text(text, encoding="utf-8")
            os.replace(partial, path)
            self._written[service] = digest
            changed += 1
        return changed

    def _encoded(self, service: str, get_state: Any, persistence: Any) -> str | None:
        """Return a service's state as its file holds it; a state that changes meanwhile is tried again."""
        for _ in range(5):
            try:
                state = get_state()
                if state is None:
                    return None
                document = {"__ministack_format__": persistence._state_format_version(service), "payload": state}
                return json.dumps(document, default=persistence._json_default)
            except RuntimeError:  # a dictionary changed size while it was walked
                time.sleep(0.01)
            except Exception:
                LOG.exception("the state of %s cannot be saved", service)
                return None
        return None

    def _run(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            self.save()
