"""gRPC's own server where a role expects to be handed a listening socket (backends/role.py)."""

import socket
from collections.abc import Callable
from typing import Any

import grpc

from backends.listening import address


class Accepting:
    """A server that takes connections until its drain."""

    def close(self) -> None:
        """Do nothing: gRPC ends its listener together with its connections."""


class GrpcServer:
    """Accepts by gRPC's own server, which `add` gives its services."""

    def __init__(self, add: Callable[[Any], None]) -> None:
        self._add = add
        self._server: Any = None

    async def accept(self, listener: socket.socket) -> Accepting:
        """Serve the connections that come to a socket's address; gRPC opens a socket of its own there."""
        where = address(listener)
        listener.close()
        self._server = grpc.aio.server()
        self._add(self._server)
        self._server.add_insecure_port(where)
        await self._server.start()
        return Accepting()

    async def drain(self, timeout_s: float) -> bool:
        """End every stream."""
        await self._server.stop(0.0)
        return True
