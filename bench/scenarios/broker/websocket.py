"""Consumers to which the broker pushes over a WebSocket each, and a producer on one of its own."""

import asyncio
from typing import TYPE_CHECKING

from picows import WSTransport

from bench.scenarios.client import websocket
from bench.scenarios.client.websocket import WebSocketConnection

if TYPE_CHECKING:
    from bench.scenarios.broker.clients import BrokerJob, ConsumerCounts


class _PushConsumer(WebSocketConnection):
    def __init__(self, number: int, counts: "ConsumerCounts") -> None:
        super().__init__()
        self._number = number
        self._counts = counts
        self.ended = asyncio.Event()

    def receive(self, message: bytes) -> None:
        self._counts.receive(self._number, message.decode())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.ended.set()


class PushClients:
    """The consumers and the producer."""

    def __init__(self, job: "BrokerJob", counts: "ConsumerCounts") -> None:
        self._url = f"ws://{job.address}/push"
        self._counts = counts
        self._producer = WebSocketConnection()

    @classmethod
    async def connect(cls, job: "BrokerJob", counts: "ConsumerCounts") -> "PushClients":
        """Connect the producer; ConnectionError where that fails."""
        clients = cls(job, counts)
        await websocket.connect(clients._producer, f"{clients._url}?queue=nobody's")
        return clients

    async def consume(self, consumer: int) -> None:
        """Receive the messages of a queue for good; where the connection ends, connect again."""
        while True:
            connection = _PushConsumer(consumer, self._counts)
            url = f"{self._url}?queue={consumer}&after={self._counts.last[consumer]}"
            try:
                await websocket.connect(connection, url)
                await connection.ended.wait()
            except OSError:
                await asyncio.sleep(1.0)
            self._counts.failed += 1

    async def publish(self, queue: int, text: str) -> None:
        """Publish by one frame, and wait for its answer."""
        await self._producer.request(f"{queue} {text}".encode())
