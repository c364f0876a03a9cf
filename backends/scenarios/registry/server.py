"""`python -m backends.scenarios.registry.server`: a service registry, as Nacos.

`--style http` is Nacos 1.x: instances beat and subscribers poll, by HTTP/1.1. `--style stream` is how 2.x
does it: one connection for each client, on which it beats, learns of changes, and whose end is the end of its
instances; the messages are those of 2.x, as JSON over a WebSocket: gRPC in Python costs more than all else.
Both are asyncio protocols, without a framework, around one set of instances.
"""

import argparse
import json
from typing import Any

from backends.protocols.http_handler import JSON, Answer, Reply, Request, handler_backend
from backends.protocols.websocket import WebSocketBackend, WebSocketConnection
from backends.role.backend import Backend
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters
from backends.scenarios.registry import nacos
from backends.scenarios.registry.instances import Instance
from backends.scenarios.registry.nacos import Registry

_NO_INSTANCE = Answer(b"serviceName, ip and port are needed", 400)


class HttpRegistry:
    """The registry as 1.x serves it."""

    def __init__(self, registry: Registry, beat_every_s: float) -> None:
        self._registry = registry
        self._beat_answers = {
            is_known: Answer(
                _json(nacos.beat_answer(is_known, round(beat_every_s * 1000))), content_type=JSON
            )
            for is_known in (True, False)
        }

    def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request."""
        match request.method, request.path:
            case b"PUT", "/nacos/v1/ns/instance/beat":
                reply(self._beat(request))
            case b"GET", "/nacos/v1/ns/instance/list":
                listing = self._registry.listing(nacos.full_name(request.query))
                reply(Answer(_json(listing), content_type=JSON))
            case b"POST" | b"DELETE", "/nacos/v1/ns/instance":
                reply(self._change(request))
            case _:
                reply(Answer(b"not served here", 404))

    def _beat(self, request: Request) -> Answer:
        instance = nacos.parse_instance(request.query)
        return _NO_INSTANCE if instance is None else self._beat_answers[self._registry.beat(instance)]

    def _change(self, request: Request) -> Answer:
        instance = nacos.parse_instance(request.query)
        if instance is None:
            return _NO_INSTANCE
        (self._registry.register if request.method == b"POST" else self._registry.leave)(instance)
        return Answer(b"ok")


class StreamRegistry(WebSocketBackend):
    """The registry as 2.x serves it."""

    def __init__(self, registry: Registry, counters: Counters) -> None:
        super().__init__(counters)
        self.registry = registry

    def connect(self, path: str, query: dict[str, str]) -> WebSocketConnection:
        """Return the listener of a new connection."""
        return RegistryClient(self)


class RegistryClient(WebSocketConnection):
    """One client of 2.x on its connection, with the instances that it registered and its subscriptions."""

    def __init__(self, server: StreamRegistry) -> None:
        super().__init__(server)
        self._counters, self._registry = server.counters, server.registry
        self._instances: dict[Instance, None] = {}
        self._subscriptions: set[str] = set()

    def notify(self, listing: dict[str, Any]) -> None:
        """Send what a service is now."""
        self.send(_message("NotifySubscriberRequest", serviceInfo=listing))

    def on_text(self, text: str) -> None:
        """Answer a request."""
        self._counters.requests += 1
        self.send(self._answer(json.loads(text)))

    def on_close(self) -> None:
        """Remove the client's instances."""
        self._registry.remove_client(self, self._subscriptions, self._instances)

    def _answer(self, request: dict[str, Any]) -> bytes:
        match request.get("type"):
            case "HealthCheckRequest":
                for instance in self._instances:
                    self._registry.beat(instance)
                return _ALIVE
            case "InstanceRequest":
                return self._register(request)
            case "SubscribeServiceRequest":
                name = nacos.full_name(request)
                self._subscriptions.add(name)
                self._registry.subscribe(name, self)
                return _message("SubscribeServiceResponse", serviceInfo=self._registry.listing(name))
            case "NotifySubscriberResponse":
                return _ALIVE
        return self._refuse()

    def _register(self, request: dict[str, Any]) -> bytes:
        instance = nacos.parse_instance(request)
        if instance is None:
            return self._refuse()
        self._instances[instance] = None
        self._registry.register(instance)
        return _message("InstanceResponse")

    def _refuse(self) -> bytes:
        self._counters.errors.protocol += 1
        return _message("ErrorResponse", code=400)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _message(kind: str, *, code: int = 200, **more: object) -> bytes:
    return _json({"type": kind, "resultCode": code, **more})


_ALIVE = _message("HealthCheckResponse")


async def _make(given: argparse.Namespace) -> Backend:
    registry = Registry(given.expire)
    registry.sweep()
    if given.style == "stream":
        return StreamRegistry(registry, Counters())
    return handler_backend(HttpRegistry(registry, given.beat).handle, Counters())


if __name__ == "__main__":
    parser = server_parser("backends.scenarios.registry.server", "A service registry, as in Nacos.")
    parser.add_argument("--style", choices=("http", "stream"), default="http")
    parser.add_argument("--beat", type=float, default=5.0, metavar="S", help="seconds between two beats")
    parser.add_argument(
        "--expire", type=float, default=15.0, metavar="S", help="an instance silent so long is gone"
    )
    run_server(parser, _make)
