"""One worker: listens, sweeps once a second, drains when told to. No HTTP, no processes."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket

from proxy.counters import Counters
from proxy.dispatch import Dispatcher
from proxy.errors import ListenError
from proxy.relay import ClientConnection, Relay
from proxy.settings import Settings

SWEEP_S = 1.0


def listen(settings: Settings) -> socket.socket:
    """Return the listening socket; ListenError when the address is not to be had."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    host, port = settings.listen
    try:
        if settings.workers > 1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(settings.listen)
        sock.listen(4096)
    except OSError as error:
        sock.close()
        raise ListenError(
            f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}; choose another port"
        ) from error
    return sock


class Server:
    """One worker, from its first connection to its last."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.counters = Counters()
        self._settings = settings
        self._loop = loop
        self._dispatcher = Dispatcher(settings, self.counters, loop)
        self._relay = Relay(settings, self.counters, self._dispatcher)
        self._stopped = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def serve(self, sock: socket.socket) -> None:
        """Accept connections on `sock` until `stop`, then finish the exchanges under way."""
        self._server = await self._loop.create_server(self._connection, sock=sock, backlog=4096)
        self._sweep()
        gc.collect()
        gc.freeze()
        await self._stopped.wait()

    def stop(self) -> None:
        """Begin to drain."""
        self._server.close()
        self._relay.draining = True
        self._dispatcher.drain()
        self._stopped.set()

    def _connection(self) -> ClientConnection:
        return ClientConnection(self._relay)

    def _sweep(self) -> None:
        self._relay.sweep()
        self._loop.call_later(SWEEP_S, self._sweep)
