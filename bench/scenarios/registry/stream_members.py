"""Members of a registry as in Nacos 2.x: each beats, and is told of changes, on one connection."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.scenarios.registry.fleet import Fleet, Job, Named, Tally, service_name

_HANDSHAKE_S = 30.0
"""Thousands join at once: picows' own 5 s are for one."""
_BEAT = b'{"type":"HealthCheckRequest"}'


class _Connection(WSListener):
    """One long connection with one request at a time. States: away, connected, closed."""

    def __init__(self, job: Job) -> None:
        self._url = f"ws://{job.address}/registry"
        self._transport: WSTransport | None = None
        self._waiting: asyncio.Future[bytes] | None = None

    async def connect(self) -> None:
        try:
            await ws_connect(lambda: self, self._url, websocket_handshake_timeout=_HANDSHAKE_S)
        except (WSError, TimeoutError) as error:
            raise ConnectionError(f"no connection: {error}") from error

    async def ask(self, message: bytes) -> bytes:
        if self._transport is None:
            raise ConnectionError("the connection is gone")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.send(WSMsgType.TEXT, message)
        return await self._waiting

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.take(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def take(self, message: bytes) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the connection ended before the answer came"))

    @property
    def is_connected(self) -> bool:
        return self._transport is not None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.disconnect(graceful=False)


class Instance:
    """An instance on its own connection."""

    def __init__(self, named: Named, job: Job, tally: Tally) -> None:
        host, port = named.address
        asked = {"type": "InstanceRequest", "serviceName": named.service, "ip": host, "port": port}
        self._register = json.dumps(asked).encode()
        self._connection = _Connection(job)
        self._tally = tally

    async def join(self) -> None:
        """Connect and register."""
        await self._connection.connect()
        await self._connection.ask(self._register)

    async def beat(self) -> None:
        """Beat; where the connection was lost, join again."""
        if not self._connection.is_connected:
            self._tally.reconnects += 1
            await self.join()
        await self._connection.ask(_BEAT)

    def die(self) -> None:
        """End without a word: the kernel closes what a dead process had open."""
        self._connection.close()


class _Follower(_Connection):
    def __init__(self, who: int, service: str, job: Job, tally: Tally) -> None:
        super().__init__(job)
        self._who, self._service, self._tally = who, service, tally

    def take(self, message: bytes) -> None:
        told: dict[str, Any] = json.loads(message)
        if "serviceInfo" in told:
            self._tally.listed(self._who, self._service, told["serviceInfo"])
        if told["type"] != "NotifySubscriberRequest":
            super().take(message)


async def follow(who: int, fleet: Fleet, job: Job, tally: Tally) -> None:
    """Follow one service for good."""
    service = service_name(who % fleet.services)
    asked = json.dumps({"type": "SubscribeServiceRequest", "serviceName": service}).encode()
    follower = _Follower(who, service, job, tally)
    while True:
        try:
            if not follower.is_connected:
                await follower.connect()
                await follower.ask(asked)
            await asyncio.sleep(job.beat_every_s)
            await follower.ask(_BEAT)
        except OSError as error:
            tally.failed(error)
            await asyncio.sleep(job.beat_every_s / 5)
