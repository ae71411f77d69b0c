"""The socket that requests come in by."""

from __future__ import annotations

import socket

from training.serve.settings import ServeSettings


def bind(settings: ServeSettings, *, shared: bool) -> socket.socket:
    """Return a socket bound to the settings' host and port.

    A shared one is bound by several workers, over which the kernel spreads connections (SO_REUSEPORT).
    Raises OSError.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((settings.host, settings.port))
    except OSError:
        sock.close()
        raise
    return sock
