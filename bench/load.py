"""A small HTTP load generator: one thread, kept connections, one request at a time on each."""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass, field
from typing import Final

HEADER_END: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length:"
TIMEOUT_SECONDS: Final = 60.0


class BadAnswerError(Exception):
    """A server answered with something other than 200: its figures would mean nothing."""


@dataclass(frozen=True)
class Load:
    """What a run measured: each request's seconds, sorted, and how long it all took."""

    seconds: tuple[float, ...]
    elapsed: float

    def percentile(self, share: float) -> float:
        """Return the latency that this share of the requests did not exceed (nearest rank)."""
        return self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.elapsed


@dataclass
class _Connection:
    sock: socket.socket
    sent: float = 0.0
    received: bytearray = field(default_factory=bytearray)


def request_bytes(port: int, body: bytes, content_type: str = "application/json") -> bytes:
    """Return a whole HTTP/1.1 request to /invocations, whose answer comes in the form of the request."""
    head = (
        f"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {content_type}\r\n"
        f"Accept: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def run_load(
    port: int,
    body: bytes,
    *,
    connections: int,
    seconds: float,
    least: int = 1,
    content_type: str = "application/json",
) -> Load:
    """Ask again and again on every connection for so many seconds, and until at least `least` requests are answered.

    Raises BadAnswerError when an answer is not 200.
    """
    request = request_bytes(port, body, content_type)
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        clients = [_connect(port) for _ in range(connections)]
        for client in clients:
            selector.register(client.sock, selectors.EVENT_READ, client)
        started = time.perf_counter()
        for client in clients:
            _send(client, request)
        busy = len(clients)
        while busy:
            ready = selector.select(TIMEOUT_SECONDS)
            if not ready:
                raise BadAnswerError(f"no answer within {TIMEOUT_SECONDS:.0f} s")
            for key, _ in ready:
                if not _receive(key.data):
                    continue
                now = time.perf_counter()
                latencies.append(now - key.data.sent)
                if now - started < seconds or len(latencies) < least:
                    _send(key.data, request)
                else:
                    busy -= 1
        elapsed = time.perf_counter() - started
        for client in clients:
            client.sock.close()
    return Load(tuple(sorted(latencies)), elapsed)


def ask_once(port: int, body: bytes) -> None:
    """Ask once on a connection of its own.

    Raises OSError while nobody listens, BadAnswerError when the answer is not 200.
    """
    client = _connect(port)
    try:
        client.sock.settimeout(TIMEOUT_SECONDS)
        _send(client, request_bytes(port, body))
        while not _receive(client):
            pass
    finally:
        client.sock.close()


def _connect(port: int) -> _Connection:
    sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _Connection(sock)


def _send(client: _Connection, request: bytes) -> None:
    client.received.clear()
    client.sent = time.perf_counter()
    client.sock.sendall(request)


def _receive(client: _Connection) -> bool:
    """Read what has come; return whether the answer is complete."""
    piece = client.sock.recv(1 << 18)
    if not piece:
        raise ConnectionResetError("the server closed the connection")
    client.received += piece
    head_end = client.received.find(HEADER_END)
    if head_end < 0:
        return False
    head = bytes(client.received[:head_end]).lower()
    start = head.index(LENGTH) + len(LENGTH)
    length = int(head[start : (head + b"\r\n").index(b"\r\n", start)])
    if len(client.received) < head_end + len(HEADER_END) + length:
        return False
    if head.split(b" ", 2)[1] != b"200":
        raise BadAnswerError(client.received[:2_000].decode("utf-8", "replace"))
    return True
