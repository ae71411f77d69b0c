"""Listen with uvicorn until told to stop, then let requests in flight finish.

HTTP is read by llhttp (httptools) on libuv's loop (uvloop), in the thread that answers. Why no server in Rust, whose
threads wait for the interpreter's lock and wake one another: docs/decisions/0009-http-server.md.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from training.serve.app import Application
from training.serve.port import bind
from training.serve.request_log import write_event
from training.serve.settings import ServeSettings

#: SageMaker's SIGKILL comes 30 s after its SIGTERM.
STOP_SECONDS: Final = 25
#: Longer than a load balancer keeps an idle connection (60 s), so that it is never closed under a request.
KEEP_ALIVE_SECONDS: Final = 75
#: A request's first line and headers; SageMaker's own are below 10 KB.
MAX_HEAD_BYTES: Final = 64 * 1024
BACKLOG: Final = 1_024


def listen(application: Application, settings: ServeSettings, alive: int | None) -> None:
    """Serve until SIGTERM or SIGINT, or until `alive`, a pipe's end, says that the supervisor is gone."""
    config = uvicorn.Config(
        application,
        interface="asgi3",
        http=_Protocol,
        ws="none",
        loop="uvloop",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS + 1,
    )
    with bind(settings, shared=settings.workers > 1) as sock:
        _Server(config, alive).run([sock])


class _Server(uvicorn.Server):
    """Stops when its supervisor is gone, and ends hard before SageMaker does."""

    def __init__(self, config: uvicorn.Config, alive: int | None) -> None:
        super().__init__(config)
        self._alive = alive

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._alive is not None:
            asyncio.get_running_loop().add_reader(self._alive, self._stop_orphan)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.force_exit = False  # a second signal must not cut what the first lets finish
        self._limit_stop()

    def _stop_orphan(self) -> None:
        assert self._alive is not None
        asyncio.get_running_loop().remove_reader(self._alive)
        self.should_exit = True
        self._limit_stop()

    def _limit_stop(self) -> None:
        timer = threading.Timer(STOP_SECONDS, _give_up)
        timer.daemon = True
        timer.start()


def _give_up() -> None:
    write_event({"event": "stopped", "reason": f"a request was still under way after {STOP_SECONDS} s; it is cut"})
    os._exit(0)


class _Protocol(HttpToolsProtocol):
    """Refuses headers without end, which would fill the memory."""

    _head: int | None = None

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None and not self.transport.is_closing():
            self._head += len(data)
            if self._head > MAX_HEAD_BYTES:
                self.send_400_response(f"The headers are larger than {MAX_HEAD_BYTES} bytes.")
