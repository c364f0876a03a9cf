"""Addresses and listening sockets, opened before any worker starts so that a taken port stops all."""

import contextlib
import os
import resource
import socket
from collections.abc import Sequence

from backends.role.errors import ListenError, MisuseError

BACKLOG = 16384  # the kernel cuts it to net.core.somaxconn; short mode at full speed needs the room

HANDSHAKE_S = 30.0
"""Thousands shake hands at once, on a busy machine: the few seconds that libraries allow are for one."""


def parse_address(text: str) -> tuple[str, int]:
    """Read HOST:PORT; raise MisuseError for what is none."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise MisuseError(f"--listen {text!r} is no address; write HOST:PORT, such as 127.0.0.1:9000")
    return host.removeprefix("[").removesuffix("]"), int(port)


def format_address(host: str, port: int) -> str:
    """Write an address as HOST:PORT, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_of(listener: socket.socket) -> str:
    """Return the address that a socket really listens on, as HOST:PORT."""
    return format_address(*listener.getsockname()[:2])


def open_listener(host: str, port: int, *, shared: bool) -> socket.socket:
    """Open a listening socket; `shared` allows other workers the same port (SO_REUSEPORT).

    Raise ListenError when the address is taken, not ours or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error).lower()
        remedy = "choose another address" if port == 0 else "choose another port"
        raise ListenError(f"cannot listen on {format_address(host, port)}: {reason}; {remedy}") from error
    listener.setblocking(False)
    return listener


def open_listeners(addresses: Sequence[tuple[str, int]], workers: int) -> list[list[socket.socket]]:
    """Open the listening sockets of each worker, all on the same addresses.

    Raise ListenError and leave none open when one of them fails.
    """
    listeners: list[list[socket.socket]] = []
    try:
        for _ in range(workers):
            own: list[socket.socket] = []
            listeners.append(own)
            for index, (host, port) in enumerate(addresses):
                # Port 0 was settled by the first worker's socket.
                real = listeners[0][index].getsockname()[1] if len(listeners) > 1 else port
                own.append(open_listener(host, real, shared=workers > 1))
    except ListenError:
        for own in listeners:
            for listener in own:
                listener.close()
        raise
    return listeners


def raise_file_limit() -> None:
    """Raise the limit of open files as far as this process may: each connection takes one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS takes no "unlimited" here; then as many as there were must do.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
