"""Entry `serve`: load and verify the bundle, prove that it answers, then listen."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import traceback
from types import FrameType
from typing import Final, NoReturn

from passerelle.errors import BundleError, SettingsError
from training.paths import base_dir
from training.serve.port import bind
from training.serve.settings import HOST_VARIABLE, PORT_VARIABLE, ServeSettings, read_settings
from training.serve.workers import REFUSED, run_workers

# One row has nothing to share between threads, and waking them costs more than its trees. Cores are used by requests
# side by side: by SAGEMAKER_MODEL_SERVER_WORKERS processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
SETTINGS_EXIT: Final = 2


def main() -> int:
    """Serve until SIGTERM; then finish what is under way, and exit 0.

    A bundle that is not sound is refused before anything listens: exit code 1, its reason on stderr.
    """
    # As process 1 of a container, a process without a handler does not even notice SIGTERM.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave_before_start)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        print(f"The server cannot start: {error}", file=sys.stderr, flush=True)
        return SETTINGS_EXIT
    # Tried before the model is loaded: several workers would share the port with another server that shares it too.
    try:
        bind(settings, shared=False).close()
    except OSError as error:
        print(f"The server cannot listen on {settings.host}, port {settings.port}: {error.strerror}. "
              f"Free it, or set {HOST_VARIABLE} or {PORT_VARIABLE}.", file=sys.stderr, flush=True)  # fmt: skip
        return SETTINGS_EXIT
    if settings.workers == 1:
        _serve_one(settings, None)
    return run_workers(settings.workers, lambda alive: _serve_one(settings, alive))


def _leave_before_start(number: int, frame: FrameType | None) -> None:
    os._exit(0)


def _serve_one(settings: ServeSettings, alive: int | None) -> NoReturn:
    """Serve in this process, and end it.

    It ends without Python's finalisation, which would wait for threads whose answers nobody waits for any more.
    """
    code = 1
    try:
        code = _load_and_listen(settings, alive)
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _load_and_listen(settings: ServeSettings, alive: int | None) -> int:
    started = time.perf_counter()
    # Imported here: a signal that comes during their seconds of import finds its handler.
    from training.bundle import load_bundle
    from training.serve.app import Application
    from training.serve.listen import listen
    from training.serve.request_log import write_event
    from training.serve.scorer import Scorer

    try:
        scorer = Scorer(load_bundle(base_dir() / "model", plan_suffices=True, project_code=settings.project_code))
        scorer.prove()
    except BundleError as error:
        print(f"The model is refused: {error}", file=sys.stderr, flush=True)
        return REFUSED
    about = scorer.bundle.metadata
    seconds = round(time.perf_counter() - started, 3)
    planned = scorer.bundle.plan is not None
    slow = {"no_plan_because": about.fast_path.reason} if about.fast_path and not planned else {}
    write_event({"event": "serving", "host": settings.host, "port": settings.port, "load_seconds": seconds,
                 "project": about.project, "run_id": about.run_id, "candidate": about.candidate,
                 "plan": planned} | slow)  # fmt: skip
    application = Application(scorer, settings)
    gc.freeze()  # what is loaded stays: a collection that looked at it again would hold a request up for milliseconds
    listen(application, settings, alive)
    return 0
