"""Members of a registry as in Nacos 2.x: each beats, and receives changes, on one connection."""

import asyncio
import json
from typing import Any

from bench.scenarios.client import websocket
from bench.scenarios.client.websocket import WebSocketConnection
from bench.scenarios.registry.fleet import Fleet, InstanceName, RegistryCounts, RegistryJob, service_name

_BEAT = b'{"type":"HealthCheckRequest"}'


class StreamInstance:
    """An instance on its own connection."""

    def __init__(self, name: InstanceName, job: RegistryJob, counts: RegistryCounts) -> None:
        host, port = name.address
        request = {"type": "InstanceRequest", "serviceName": name.service, "ip": host, "port": port}
        self._register = json.dumps(request).encode()
        self._url = _url(job)
        self._connection = WebSocketConnection()
        self._counts = counts

    async def join(self) -> None:
        """Connect and register."""
        await websocket.connect(self._connection, self._url)
        await self._connection.request(self._register)

    async def beat(self) -> None:
        """Beat; where the connection was lost, join again."""
        if not self._connection.is_connected:
            self._counts.reconnects += 1
            await self.join()
        await self._connection.request(_BEAT)

    def die(self) -> None:
        """End abruptly: the kernel closes what a dead process had open."""
        self._connection.close()


class _StreamSubscriber(WebSocketConnection):
    def __init__(self, number: int, service: str, counts: RegistryCounts) -> None:
        super().__init__()
        self._number, self._service, self._counts = number, service, counts

    def receive(self, message: bytes) -> None:
        event: dict[str, Any] = json.loads(message)
        if "serviceInfo" in event:
            self._counts.receive_list(self._number, self._service, event["serviceInfo"])
        if event["type"] != "NotifySubscriberRequest":
            super().receive(message)


async def subscribe(subscriber: int, fleet: Fleet, job: RegistryJob, counts: RegistryCounts) -> None:
    """Follow one service until cancelled."""
    service = service_name(subscriber % fleet.services)
    request = json.dumps({"type": "SubscribeServiceRequest", "serviceName": service}).encode()
    connection = _StreamSubscriber(subscriber, service, counts)
    while True:
        try:
            if not connection.is_connected:
                await websocket.connect(connection, _url(job))
                await connection.request(request)
            await asyncio.sleep(job.beat_every_s)
            await connection.request(_BEAT)
        except OSError as error:
            counts.count_error(error)
            await asyncio.sleep(job.beat_every_s / 5)


def _url(job: RegistryJob) -> str:
    return f"ws://{job.address}/registry"
