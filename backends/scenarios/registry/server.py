"""`python -m backends.scenarios.registry.server`: a service registry, as Nacos.

`--style http` is Nacos 1.x: instances beat and subscribers poll, by HTTP/1.1. `--style stream` is how 2.x
does it: one connection for each client, on which it beats, learns of changes, and whose end is the end of its
instances; the messages are those of 2.x, as JSON over a WebSocket: gRPC in Python costs more than all else.
Both are asyncio protocols, without a framework, around one set of instances.
"""

import argparse

from backends.protocols.http_handler import JSON, Answer, Reply, Request, handler_backend
from backends.role.backend import Backend
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters
from backends.scenarios.registry import nacos
from backends.scenarios.registry.nacos import Registry

_NO_INSTANCE = Answer(b"serviceName, ip and port are needed", 400)


class HttpRegistry:
    """The registry as 1.x serves it."""

    def __init__(self, registry: Registry, beat_every_s: float) -> None:
        self._registry = registry
        self._beat_answers = {
            is_known: Answer(
                nacos.to_json(nacos.beat_answer(is_known, round(beat_every_s * 1000))), content_type=JSON
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
                reply(Answer(nacos.to_json(listing), content_type=JSON))
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


async def _make(given: argparse.Namespace) -> Backend:
    registry = Registry(given.expire)
    registry.sweep()
    if given.style == "stream":
        from backends.scenarios.registry.stream import StreamRegistry  # noqa: PLC0415 - needs an extra, HTTP does not

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
