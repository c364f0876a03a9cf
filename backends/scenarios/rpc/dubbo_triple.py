"""`python -m backends.scenarios.rpc.dubbo_triple`: Dubbo's own provider, of apache-dubbo.

It speaks Triple (gRPC's framing on HTTP/2) on threads of its own; here it is started, and its connections
counted.
"""

import argparse
import asyncio
import socket
from typing import Any

import dubbo
from dubbo.configs import ServiceConfig
from dubbo.protocol.triple import protocol as triple
from dubbo.proxy.handlers import RpcMethodHandler, RpcServiceHandler
from dubbo.remoting.aio.http2.protocol import Http2ServerProtocol

from backends.role.backend import Backend
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters
from backends.role.listening import address_of

SERVICE = "bench.Echo"


class DubboServer(Backend):
    """Accepts by Dubbo's own server."""

    async def accept(self, listener: socket.socket) -> None:
        """Serve the connections that come to a socket's address; Dubbo opens a socket of its own there."""
        host, _, port = address_of(listener).rpartition(":")
        listener.close()
        _count_connections(self.counters)
        handler = RpcServiceHandler(SERVICE, [RpcMethodHandler.unary(self._echo, method_name="echo")])
        config = ServiceConfig(handler, host=host, port=int(port))
        await asyncio.to_thread(dubbo.Server(config).start)

    async def drain(self, timeout_s: float) -> bool:
        """Do nothing: what is open ends with the process."""
        return True

    def _echo(self, body: bytes) -> bytes:
        self.counters.requests += 1
        return body


def _count_connections(counters: Counters) -> None:
    """Have Dubbo make its connections by a class that counts them; it has no other place for that."""

    class Counted(Http2ServerProtocol):  # type: ignore[misc, unused-ignore]
        def connection_made(self, transport: Any) -> None:
            counters.accepted += 1
            super().connection_made(transport)

    triple.Http2ServerProtocol = Counted


async def _make(given: argparse.Namespace) -> Backend:
    return DubboServer(Counters())


if __name__ == "__main__":
    run_server(server_parser("backends.scenarios.rpc.dubbo_triple", "Dubbo's own provider."), _make)
