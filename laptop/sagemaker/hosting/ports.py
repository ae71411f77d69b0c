"""Ports of server processes: each is given to one variant of this platform at a time."""

from __future__ import annotations

import random
import socket
import threading
from typing import Final

#: Below the range from which Linux takes ports for outgoing connections, so that none slips in before the server binds.
_PORTS: Final = range(20_000, 32_000)
_lock, _given = threading.Lock(), set[int]()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on, and that no other variant was given.

    Raises OSError when there is none.
    """
    with _lock:
        for port in random.sample(_PORTS, len(_PORTS)):
            if port not in _given and _is_free(port):
                _given.add(port)
                return port
    raise OSError("no free port on 127.0.0.1")


def give_back(port: int) -> None:
    """The variant's server is gone."""
    with _lock:
        _given.discard(port)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
