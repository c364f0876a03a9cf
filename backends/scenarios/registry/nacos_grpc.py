"""`python -m backends.scenarios.registry.nacos_grpc`: a registry that speaks Nacos 2.x's protocol.

It speaks over gRPC. It is there for Nacos's real client, in whose environment it runs: messages and service
are those of the package nacos-sdk-python. A client is known by its connection; the end of its stream is the
end of its instances.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from v2.nacos.transport.grpcauto import nacos_grpc_service_pb2_grpc as services
from v2.nacos.transport.grpcauto.nacos_grpc_service_pb2 import Metadata, Payload

from backends.protocols.grpc_server import GrpcServer
from backends.role.backend import Backend
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters
from backends.scenarios.registry import nacos
from backends.scenarios.registry.instances import Instance
from backends.scenarios.registry.nacos import Registry

_LISTS = {
    "SubscribeServiceRequest": "SubscribeServiceResponse",
    "ServiceQueryRequest": "QueryServiceResponse",
}
_NEVER_S = 7 * 86400.0
"""An instance lives as long as its connection."""


class GrpcClient:
    """One client by its connection: its instances, its subscriptions, and what is to be sent to it."""

    def __init__(self) -> None:
        self.instances: dict[Instance, None] = {}
        self.subscriptions: set[str] = set()
        self.unsent: asyncio.Queue[Payload] = asyncio.Queue()

    def notify(self, listing: dict[str, Any]) -> None:
        """Send what a service is now."""
        group, _, name = listing["name"].partition("@@")
        body = {"namespace": "public", "groupName": group, "serviceName": name, "serviceInfo": bare(listing)}
        self.unsent.put_nowait(payload("NotifySubscriberRequest", **body))


class NacosService:
    """Nacos 2.x's two services: single requests, and one stream in both directions."""

    def __init__(self, registry: Registry, counters: Counters) -> None:
        self.counters = counters
        self._registry = registry
        self._clients: dict[str, GrpcClient] = {}

    async def request(self, request: Payload, context: Any) -> Payload:
        """Answer one request."""
        self.counters.requests += 1
        client = self._client(context.peer())
        body = json.loads(request.body.value or b"{}")
        match request.metadata.type:
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
                    client.subscriptions.add(name)
                    self._registry.subscribe(name, client)
                listing = bare(self._registry.listing(name))
                return payload(_LISTS[kind], serviceInfo=listing)
        self.counters.errors.protocol += 1
        return payload(
            "ErrorResponse", resultCode=500, errorCode=501, message=f"{request.metadata.type} is not served"
        )

    async def stream(self, received: AsyncIterator[Payload], context: Any) -> AsyncIterator[Payload]:
        """Send a client the changes that it subscribed to, until it is gone."""
        peer = context.peer()
        client = self._client(peer)
        reading = asyncio.ensure_future(_read(received))
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
            self._registry.remove_client(client, client.subscriptions, client.instances)

    def _client(self, peer: str) -> GrpcClient:
        if peer not in self._clients:
            self.counters.accepted += 1
            self._clients[peer] = GrpcClient()
        return self._clients[peer]

    def _instance(self, client: GrpcClient, body: dict[str, Any]) -> Payload:
        instance = nacos.parse_instance(
            {**body, **body.get("instance", {}), "serviceName": body.get("serviceName")}
        )
        if instance is None:
            self.counters.errors.protocol += 1
            return payload(
                "ErrorResponse", resultCode=500, errorCode=400, message="an instance needs ip and port"
            )
        if body.get("type") == "deregisterInstance":
            client.instances.pop(instance, None)
            self._registry.leave(instance)
        else:
            client.instances[instance] = None
            self._registry.register(instance)
        return payload("InstanceResponse", type=body.get("type"))


async def _read(received: AsyncIterator[Payload]) -> None:
    async for _ in received:
        pass  # its set-up, and its answers to notifications


def bare(listing: dict[str, Any]) -> dict[str, Any]:
    """Return a list with the service's name without its group, as 2.x has it."""
    return {**listing, "name": listing["name"].partition("@@")[2]}


def payload(kind: str, **body: object) -> Payload:
    """Return a message of Nacos 2.x."""
    content = {"resultCode": 200, "errorCode": 0, "message": "", "requestId": "", **body}
    message = Payload(metadata=Metadata(type=kind))
    message.body.value = json.dumps(content).encode()
    return message


class _Requests(services.RequestServicer):  # type: ignore[misc, unused-ignore]
    def __init__(self, service: NacosService) -> None:
        self.request = service.request


class _Streams(services.BiRequestStreamServicer):  # type: ignore[misc, unused-ignore]
    def __init__(self, service: NacosService) -> None:
        self.requestBiStream = service.stream


async def _make(given: argparse.Namespace) -> Backend:
    service = NacosService(Registry(_NEVER_S), Counters())

    def add_services(server: Any) -> None:
        services.add_RequestServicer_to_server(_Requests(service), server)
        services.add_BiRequestStreamServicer_to_server(_Streams(service), server)

    return GrpcServer(add_services, service.counters)


if __name__ == "__main__":
    run_server(server_parser("backends.scenarios.registry.nacos_grpc", "A registry, as Nacos 2.x."), _make)
