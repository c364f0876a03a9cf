"""`python -m backends.rpc_dubbo`: a provider that is Dubbo's own, of the package apache-dubbo.

It speaks Triple (gRPC's framing on HTTP/2) on threads of its own; here it is started, and its connections
counted.
"""

import argparse
import asyncio
import socket
import sys
from typing import Any

import dubbo
from dubbo.configs import ServiceConfig
from dubbo.protocol.triple import protocol as triple
from dubbo.proxy.handlers import RpcMethodHandler, RpcServiceHandler
from dubbo.remoting.aio.http2.protocol import Http2ServerProtocol

from backends.counters import Counters
from backends.listening import address
from backends.role import Acceptor
from backends.serving import Parser, main

SERVICE = "bench.Echo"


class Accepting:
    """A server that takes connections until its process ends."""

    def close(self) -> None:
        """Do nothing: Dubbo's server has no end of its own."""


class DubboServer:
    """Accepts by Dubbo's own server."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    async def accept(self, listener: socket.socket) -> Accepting:
        """Serve the connections that come to a socket's address; Dubbo opens a socket of its own there."""
        host, _, port = address(listener).rpartition(":")
        listener.close()
        _count_connections(self._counters)
        handler = RpcServiceHandler(SERVICE, [RpcMethodHandler.unary(self._echo, method_name="echo")])
        config = ServiceConfig(handler, host=host, port=int(port))
        await asyncio.to_thread(dubbo.Server(config).start)
        return Accepting()

    async def drain(self, timeout_s: float) -> bool:
        """Do nothing: what is open ends with the process."""
        return True

    def _echo(self, body: bytes) -> bytes:
        self._counters.requests += 1
        return body


def _count_connections(counters: Counters) -> None:
    """Have Dubbo make its connections by a class that counts them; it has no other place for that."""

    class Counted(Http2ServerProtocol):  # type: ignore[misc, unused-ignore]
        def connection_made(self, transport: Any) -> None:
            counters.accepted += 1
            super().connection_made(transport)

    triple.Http2ServerProtocol = Counted


async def _make(given: argparse.Namespace, counters: Counters) -> Acceptor:
    return DubboServer(counters)


if __name__ == "__main__":
    sys.exit(main(Parser("backends.rpc_dubbo", "Dubbo's own provider."), sys.argv[1:], _make))
