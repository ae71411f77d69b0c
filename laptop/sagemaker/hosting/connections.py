"""HTTP to one server process: connections are kept, no request is sent twice, none lasts longer than it may."""

from __future__ import annotations

import http.client
import queue
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: InvokeEndpoint: a container must have answered, to its last byte, within 60 seconds.
INVOKE_SECONDS: Final = 60.0
MAX_CONNECTIONS: Final = 64
_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class ContainerAnswer:
    """What a container answered, and after how many microseconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    microseconds: int


class Connections:
    """Connections to a server that wait for their next request. Thread-safe."""

    def __init__(self, seconds: float | None = None) -> None:
        """`seconds` is how long a request may last, by default what InvokeEndpoint allows."""
        self._given = seconds
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue(MAX_CONNECTIONS)

    def exchange(self, port: int, headers: Mapping[str, str], body: bytes) -> ContainerAnswer:
        """Post to /invocations, over a kept connection if there is one.

        Raises OSError or HTTPException when the container does not answer.
        """
        started, deadline = time.perf_counter(), time.monotonic() + self._seconds
        kept = self._kept()
        connection = kept or _connected(port, self._seconds)
        try:
            try:
                response, wire = _send(connection, headers, body)
            except TimeoutError:
                raise
            except (OSError, http.client.HTTPException):
                if kept is None:
                    raise
                # The server may have closed it just now. Once it has begun to answer, nothing is sent twice.
                connection.close()
                connection = _connected(port, self._seconds)
                response, wire = _send(connection, headers, body)
            content = _read(response, wire, deadline)
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        self._keep(connection)
        lowered = {name.lower(): value for name, value in response.getheaders()}
        elapsed = int((time.perf_counter() - started) * 1_000_000)
        return ContainerAnswer(response.status, lowered, content, elapsed)

    @property
    def _seconds(self) -> float:
        return INVOKE_SECONDS if self._given is None else self._given

    def _kept(self) -> http.client.HTTPConnection | None:
        """Return a connection of an earlier request that the server has not closed meanwhile."""
        while True:
            try:
                kept = self._idle.get_nowait()
            except queue.Empty:
                return None
            if kept.sock is not None and _open(kept.sock, self._seconds):
                return kept
            kept.close()

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        if connection.sock is None:  # the answer said `Connection: close`
            return
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()

    def close(self) -> None:
        """Close all that is idle."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return


def _connected(port: int, seconds: float) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    connection.connect()
    assert connection.sock is not None
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _open(wire: socket.socket, seconds: float) -> bool:
    wire.setblocking(False)
    try:
        wire.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        wire.settimeout(seconds)
        return True
    except OSError:
        return False
    return False  # the end of the stream, or bytes that belong to no request


def _send(
    connection: http.client.HTTPConnection, headers: Mapping[str, str], body: bytes
) -> tuple[http.client.HTTPResponse, socket.socket]:
    """Send a request; return the answer's head, and the socket that its body comes from."""
    assert connection.sock is not None
    wire = connection.sock
    connection.request("POST", "/invocations", body, dict(headers))
    return connection.getresponse(), wire


def _read(response: http.client.HTTPResponse, wire: socket.socket, deadline: float) -> bytes:
    """Return the whole body. A container that sends byte by byte has no more time than another."""
    parts: list[bytes] = []
    while response.length != 0:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the container did not answer in time")
        wire.settimeout(left)
        part = response.read1(_READ_BYTES)
        if not part:
            break
        parts.append(part)
    body = b"".join(parts)
    if response.length:
        raise http.client.IncompleteRead(body, response.length)
    response.close()
    return body
