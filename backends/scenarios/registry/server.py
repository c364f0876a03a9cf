"""`python -m backends.registry`: a service registry, asked by short requests or followed by one long stream.

`--style http` is Nacos 1.x: instances beat and subscribers poll, by HTTP/1.1. `--style stream` is how 2.x
does it: one connection for each client, on which it beats, learns of changes, and whose end is the end of its
instances; the messages are those of 2.x, as JSON over a WebSocket: gRPC in Python costs more than all else.
Both are asyncio protocols, without a framework, around one roster.
"""

import argparse
import asyncio
import json
import socket
import sys
from time import monotonic_ns
from typing import Any, Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from backends import nacos
from backends.answering import JSON, Answer, PlainServer, Reply, Request
from backends.connections import Connections
from backends.counters import Counters
from backends.listening import BACKLOG, HANDSHAKE_S
from backends.registering import Registry
from backends.role import Acceptor, Backend
from backends.roster import Key
from backends.serving import Parser, main

_NO_KEY: Final = Answer(b"serviceName, ip and port are needed", 400)


class Requests:
    """The registry as 1.x serves it."""

    def __init__(self, registry: Registry, beat_every_s: float) -> None:
        self._registry = registry
        self._every_ms = round(beat_every_s * 1000)
        known, unknown = (nacos.beat_answer(is_known, self._every_ms) for is_known in (True, False))
        self._known, self._unknown = Answer(_json(known), kind=JSON), Answer(_json(unknown), kind=JSON)

    def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request."""
        match request.method, request.path:
            case b"PUT", "/nacos/v1/ns/instance/beat":
                reply(self._beat(request))
            case b"GET", "/nacos/v1/ns/instance/list":
                listing = self._registry.listing(nacos.full_name(request.query))
                reply(Answer(_json(listing), kind=JSON))
            case b"POST" | b"DELETE", "/nacos/v1/ns/instance":
                reply(self._move(request))
            case _:
                reply(Answer(b"not served here", 404))

    def _beat(self, request: Request) -> Answer:
        key = nacos.key(request.query)
        if key is None:
            return _NO_KEY
        return self._known if self._registry.roster.beat(key, monotonic_ns()) else self._unknown

    def _move(self, request: Request) -> Answer:
        key = nacos.key(request.query)
        if key is None:
            return _NO_KEY
        (self._registry.register if request.method == b"POST" else self._registry.leave)(key)
        return Answer(b"ok")


class Member(WSListener):
    """One client of 2.x on its connection, with the instances that it registered and what it follows."""

    def __init__(self, server: "Streams") -> None:
        self._server = server
        self._transport: WSTransport | None = None
        self._keys: dict[Key, None] = {}
        self._follows: set[str] = set()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._server.connections.add(self)

    def tell(self, listing: dict[str, Any]) -> None:
        """Send the client what a service is now."""
        self._send(_message("NotifySubscriberRequest", serviceInfo=listing))

    def drop(self) -> None:
        """End the connection from this side."""
        if self._transport is not None:
            self._transport.disconnect()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self._send(self._answer(json.loads(frame.get_payload_as_bytes())))
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), b"")
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self._server.registry.gone(self, self._follows, self._keys)
        self._server.lost(self, transport)

    def _send(self, message: bytes) -> None:
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, message)

    def _answer(self, asked: dict[str, Any]) -> bytes:
        """Do what is asked, and return what is said in return."""
        self._server.counters.requests += 1
        registry = self._server.registry
        match asked.get("type"):
            case "HealthCheckRequest":
                now_ns = monotonic_ns()
                for key in self._keys:
                    registry.roster.beat(key, now_ns)
                return _ALIVE
            case "InstanceRequest":
                return self._register(asked)
            case "SubscribeServiceRequest":
                name = nacos.full_name(asked)
                self._follows.add(name)
                registry.follow(name, self)
                return _message("SubscribeServiceResponse", serviceInfo=registry.listing(name))
            case "NotifySubscriberResponse":
                return _ALIVE
        self._server.counters.errors.protocol += 1
        return _message("ErrorResponse", code=400)

    def _register(self, asked: dict[str, Any]) -> bytes:
        key = nacos.key(asked)
        if key is None:
            self._server.counters.errors.protocol += 1
            return _message("ErrorResponse", code=400)
        self._keys[key] = None
        self._server.registry.register(key)
        return _message("InstanceResponse")


class Streams:
    """The registry as 2.x serves it: picows' own server, and the connections that it has."""

    def __init__(self, registry: Registry, counters: Counters) -> None:
        self.registry = registry
        self.counters = counters
        self.connections: Connections[Member] = Connections()

    async def accept(self, listener: socket.socket) -> asyncio.AbstractServer:
        """Serve the connections that come to a socket."""
        return await ws_create_server(
            self._member, sock=listener, backlog=BACKLOG, websocket_handshake_timeout=HANDSHAKE_S
        )

    async def drain(self, timeout_s: float) -> bool:
        """Close every connection; return whether all went in time."""
        for connection in self.connections:
            connection.drop()
        return await self.connections.gone(timeout_s)

    def lost(self, member: Member, transport: WSTransport) -> None:
        """Remove a connection that has ended."""
        self.connections.discard(member)
        if transport.close_handshake.recv is None:
            self.counters.closed_first += 1

    def _member(self, request: WSUpgradeRequest) -> Member:
        self.counters.accepted += 1
        return Member(self)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _message(kind: str, *, code: int = 200, **more: object) -> bytes:
    return _json({"type": kind, "resultCode": code, **more})


_ALIVE: Final = _message("HealthCheckResponse")


async def _make(given: argparse.Namespace, counters: Counters) -> Backend | Acceptor:
    registry = Registry(given.expire)
    registry.sweep()
    if given.style == "stream":
        return Streams(registry, counters)
    return PlainServer(Requests(registry, given.beat).handle, counters)


def _parser() -> Parser:
    parser = Parser("backends.registry", "A service registry, as in Nacos.")
    parser.add_argument("--style", choices=("http", "stream"), default="http")
    parser.add_argument(
        "--beat", type=float, default=5.0, metavar="S", help="how often instances are to beat"
    )
    parser.add_argument(
        "--expire", type=float, default=15.0, metavar="S", help="an instance silent so long is gone"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(_parser(), sys.argv[1:], _make))
