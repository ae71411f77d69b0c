"""Listen with Granian until told to stop, then let requests in flight finish."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from training.serve.app import Application
from training.serve.request_log import write_event
from training.serve.settings import ServeSettings

#: SageMaker's SIGKILL comes 30 s after its SIGTERM.
STOP_SECONDS: Final = 25


def listen(application: Application, settings: ServeSettings, alive: int | None) -> None:
    """Serve until SIGTERM or SIGINT, or until `alive`, a pipe's end, says that the supervisor is gone."""
    asyncio.run(_listen(application, settings, alive))


async def _listen(application: Application, settings: ServeSettings, alive: int | None) -> None:
    server = Server(
        application,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        log_level=LogLevels.error,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, server)
    if alive is not None:
        loop.add_reader(alive, _stop_orphan, server, alive)
    await server.serve()


def _stop(server: Any) -> None:
    """Finish what is under way; end hard before SageMaker does."""
    server.stop()
    asyncio.get_running_loop().call_later(STOP_SECONDS, _give_up)


def _stop_orphan(server: Any, alive: int) -> None:
    asyncio.get_running_loop().remove_reader(alive)
    _stop(server)


def _give_up() -> None:
    write_event({"event": "stopped", "reason": f"a request was still under way after {STOP_SECONDS} s; it is cut"})
    os._exit(0)
