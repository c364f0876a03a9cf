"""The listening socket of a worker: opened once, accepts clients."""

import errno
import os
import socket

from proxy.client import ClientConnection
from proxy.errors import StartError
from proxy.settings import Settings, format_address, is_ipv6
from proxy.transport import Transport
from proxy.worker_context import WorkerContext

BACKLOG = 4096
MAX_ACCEPTS = 64
"""Clients accepted per turn of the loop: bounds the wait of existing connections."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def listen(settings: Settings, port: int | None = None) -> socket.socket:
    """Return a listening socket; `port` overrides that of the settings.

    Raises:
        StartError: the address is in use, not local, or not allowed.
    """
    host, settings_port = settings.listen
    sock = socket.socket(socket.AF_INET6 if is_ipv6(host) else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.workers > 1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # An accepted socket inherits this: a response must not wait for the client's delayed ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        sock.bind((host, settings_port if port is None else port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        reason = (error.strerror or str(error)).lower()
        address = format_address(settings.listen)
        raise StartError(f"cannot listen on {address}: {reason}; choose another address or port") from error
    return sock


class Listener:
    """Accepts the clients of a listening socket."""

    def __init__(self, sock: socket.socket, context: WorkerContext) -> None:
        self._sock = sock
        self._context = context
        self.resume()

    def resume(self) -> None:
        """Accept, again after a lack of descriptors or memory."""
        self._context.sends.loop.add_reader(self._sock, self._accept)

    def sweep(self) -> None:
        """Accept again where that had ended, and end what takes too long."""
        self.resume()

    def close(self) -> None:
        """Accept no more clients."""
        self._context.sends.loop.remove_reader(self._sock)
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(MAX_ACCEPTS):
            try:
                # The primitive below accept(), which would build a Python socket.
                descriptor, address = self._sock._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError as error:
                # accept(2) also reports errors of the new connection; the next one may succeed.
                if error.errno in _EXHAUSTED:
                    self._context.sends.loop.remove_reader(self._sock)
                    return
                continue
            os.set_blocking(descriptor, False)
            self._admit(descriptor, address[0])

    def _admit(self, descriptor: int, address: str) -> None:
        client = ClientConnection(self._context, address)
        client.attach(Transport(self._context.sends, descriptor, client))
