"""gRPC's own server as a backend."""

import socket
from collections.abc import Callable
from typing import Any

import grpc

from backends.role.backend import Backend
from backends.role.counters import Counters
from backends.role.listening import address_of


class GrpcServer(Backend):
    """Accepts by gRPC's own server, which `add_services` gives its services."""

    def __init__(self, add_services: Callable[[Any], None], counters: Counters) -> None:
        super().__init__(counters)
        self._add_services = add_services
        self._server: Any = None

    async def accept(self, listener: socket.socket) -> None:
        """Serve the connections that come to a socket's address; gRPC opens a socket of its own there."""
        where = address_of(listener)
        listener.close()
        self._server = grpc.aio.server()
        self._add_services(self._server)
        self._server.add_insecure_port(where)
        await self._server.start()

    async def drain(self, timeout_s: float) -> bool:
        """End every stream, and the listener with them."""
        await self._server.stop(0.0)
        return True
