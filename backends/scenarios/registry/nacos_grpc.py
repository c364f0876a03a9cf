"""`python -m backends.registry_grpc`: a registry that speaks Nacos 2.x's own protocol, over gRPC.

It is there for Nacos's real client, in whose environment it runs: messages and service are those of the
package nacos-sdk-python. A client is told apart by its connection; the end of its stream is the end of its
instances.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

from v2.nacos.transport.grpcauto import nacos_grpc_service_pb2_grpc as services
from v2.nacos.transport.grpcauto.nacos_grpc_service_pb2 import Metadata, Payload

from backends import nacos
from backends.counters import Counters
from backends.grpc_serving import GrpcServer
from backends.registering import Registry
from backends.role import Acceptor
from backends.roster import Key
from backends.serving import Parser, main

_LISTS: Final = {
    "SubscribeServiceRequest": "SubscribeServiceResponse",
    "ServiceQueryRequest": "QueryServiceResponse",
}
_NEVER_S: Final = 7 * 86400.0
"""An instance lives as long as its connection."""


class Client:
    """One client by its connection: what it registered, what it follows, and what it has yet to be sent."""

    def __init__(self) -> None:
        self.keys: dict[Key, None] = {}
        self.follows: set[str] = set()
        self.unsent: asyncio.Queue[Payload] = asyncio.Queue()

    def tell(self, listing: dict[str, Any]) -> None:
        """Send the client what a service is now."""
        group, _, name = listing["name"].partition("@@")
        told = {"namespace": "public", "groupName": group, "serviceName": name, "serviceInfo": bare(listing)}
        self.unsent.put_nowait(payload("NotifySubscriberRequest", **told))


class Service:
    """Nacos 2.x's two services: single requests, and one stream in both directions."""

    def __init__(self, registry: Registry, counters: Counters) -> None:
        self.counters = counters
        self._registry = registry
        self._clients: dict[str, Client] = {}

    async def request(self, asked: Payload, context: Any) -> Payload:
        """Answer one request."""
        self.counters.requests += 1
        client = self._client(context.peer())
        body = json.loads(asked.body.value or b"{}")
        match asked.metadata.type:
            case "ServerCheckRequest":
                return payload(
                    "ServerCheckResponse", connectionId=context.peer(), supportAbilityNegotiation=False
                )
            case "HealthCheckRequest":
                return payload("HealthCheckResponse")
            case "InstanceRequest":
                return self._instance(client, body)
            case "SubscribeServiceRequest" | "ServiceQueryRequest" as kind:
                name = nacos.full_name(body)
                if kind == "SubscribeServiceRequest":
                    client.follows.add(name)
                    self._registry.follow(name, client)
                listing = bare(self._registry.listing(name))
                return payload(_LISTS[kind], serviceInfo=listing)
        self.counters.errors.protocol += 1
        return payload(
            "ErrorResponse", resultCode=500, errorCode=501, message=f"{asked.metadata.type} is not served"
        )

    async def stream(self, taken: AsyncIterator[Payload], context: Any) -> AsyncIterator[Payload]:
        """Send a client what it follows, until it is gone."""
        peer = context.peer()
        client = self._client(peer)
        reading = asyncio.ensure_future(_read(taken))
        try:
            while not reading.done():
                sending = asyncio.ensure_future(client.unsent.get())
                await asyncio.wait([sending, reading], return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    yield sending.result()
                else:
                    sending.cancel()
        finally:
            reading.cancel()
            del self._clients[peer]
            self._registry.gone(client, client.follows, client.keys)

    def _client(self, peer: str) -> Client:
        if peer not in self._clients:
            self.counters.accepted += 1
            self._clients[peer] = Client()
        return self._clients[peer]

    def _instance(self, client: Client, body: dict[str, Any]) -> Payload:
        key = nacos.key({**body, **body.get("instance", {}), "serviceName": body.get("serviceName")})
        if key is None:
            self.counters.errors.protocol += 1
            return payload(
                "ErrorResponse", resultCode=500, errorCode=400, message="an instance needs ip and port"
            )
        if body.get("type") == "deregisterInstance":
            client.keys.pop(key, None)
            self._registry.leave(key)
        else:
            client.keys[key] = None
            self._registry.register(key)
        return payload("InstanceResponse", type=body.get("type"))


async def _read(taken: AsyncIterator[Payload]) -> None:
    async for _ in taken:
        pass  # its set-up, and its answers to what it was told


def bare(listing: dict[str, Any]) -> dict[str, Any]:
    """Return a list with the service's name without its group, as 2.x has it."""
    return {**listing, "name": listing["name"].partition("@@")[2]}


def payload(kind: str, **body: object) -> Payload:
    """Return a message of Nacos 2.x."""
    told = {"resultCode": 200, "errorCode": 0, "message": "", "requestId": "", **body}
    message = Payload(metadata=Metadata(type=kind))
    message.body.value = json.dumps(told).encode()
    return message


class _Requests(services.RequestServicer):  # type: ignore[misc, unused-ignore]
    def __init__(self, service: Service) -> None:
        self.request = service.request


class _Streams(services.BiRequestStreamServicer):  # type: ignore[misc, unused-ignore]
    def __init__(self, service: Service) -> None:
        self.requestBiStream = service.stream


async def _make(given: argparse.Namespace, counters: Counters) -> Acceptor:
    service = Service(Registry(_NEVER_S), counters)

    def add(server: Any) -> None:
        services.add_RequestServicer_to_server(_Requests(service), server)
        services.add_BiRequestStreamServicer_to_server(_Streams(service), server)

    return GrpcServer(add)


if __name__ == "__main__":
    sys.exit(main(Parser("backends.registry_grpc", "A registry, as Nacos 2.x."), sys.argv[1:], _make))
