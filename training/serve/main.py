"""Entry `serve`: load and verify the bundle, prove that it answers, then listen."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any, Final

from passerelle.errors import BundleError
from training.bundle import load_bundle
from training.paths import base_dir
from training.serve.app import Application
from training.serve.scorer import Scorer

PORT_VARIABLE: Final = "SAGEMAKER_BIND_TO_PORT"
HOST_VARIABLE: Final = "PASSERELLE_BIND_HOST"
STOP_SECONDS: Final = 25


def main() -> int:
    """Serve until SIGTERM. A bundle that is not sound is refused before anything listens."""
    try:
        scorer = Scorer(load_bundle(base_dir() / "model"))
        scorer.prove()
    except BundleError as error:
        print(f"The model is refused: {error}", file=sys.stderr, flush=True)
        return 1
    asyncio.run(_serve(Application(scorer)))
    return 0


def _stop(server: Any) -> None:
    """Finish what is under way; end hard before SageMaker's SIGKILL, which comes 30 s after its SIGTERM."""
    server.stop()
    asyncio.get_running_loop().call_later(STOP_SECONDS, os._exit, 0)


async def _serve(application: Application) -> None:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    host, port = os.environ.get(HOST_VARIABLE, "0.0.0.0"), int(os.environ.get(PORT_VARIABLE, "8080"))
    server = Server(application, address=host, port=port, interface=Interfaces.RSGI)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, server)
    print(f"Serving on {host}:{port}", flush=True)
    await server.serve()
