"""Consumers that are sent to over a WebSocket each, and a producer on one of its own."""

from __future__ import annotations

import asyncio

from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.scenarios.broker.got import Got, Job

_HANDSHAKE_S = 30.0
"""Hundreds join at once: picows' own 5 s are for one."""


class _Consumer(WSListener):
    def __init__(self, who: int, got: Got) -> None:
        self._who = who
        self._got = got
        self.gone = asyncio.Event()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self._got.take(self._who, frame.get_payload_as_utf8_text())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone.set()


class _Producer(WSListener):
    def __init__(self) -> None:
        self._transport: WSTransport | None = None
        self._waiting: asyncio.Future[None] | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    async def send(self, queue: int, text: str) -> None:
        if self._transport is None:
            raise ConnectionError("the producer's connection is gone")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.send(WSMsgType.TEXT, f"{queue} {text}".encode())
        await self._waiting

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT and self._waiting is not None:
            self._waiting.set_result(None)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the broker ended the producer's connection"))


class Pushed:
    """The consumers that are sent to."""

    def __init__(self, job: Job, got: Got, producer: _Producer) -> None:
        self._job = job
        self._got = got
        self._producer = producer

    @classmethod
    async def connect(cls, job: Job, got: Got) -> Pushed:
        """Connect the producer; ConnectionError where that fails."""
        producer = _Producer()
        pushed = cls(job, got, producer)
        await pushed.open(producer, "queue=nobody's")
        return pushed

    async def open(self, listener: WSListener, asked: str) -> None:
        """Connect; ConnectionError where that fails."""
        try:
            url = f"ws://{self._job.address}/push?{asked}"
            await ws_connect(lambda: listener, url, websocket_handshake_timeout=_HANDSHAKE_S)
        except (WSError, TimeoutError) as error:
            raise ConnectionError(f"no connection: {error}") from error

    async def consume(self, who: int) -> None:
        """Take the messages of a queue for good; where the connection ends, connect again."""
        while True:
            consumer = _Consumer(who, self._got)
            try:
                await self.open(consumer, f"queue={who}&after={self._got.last[who]}")
                await consumer.gone.wait()
            except OSError:
                await asyncio.sleep(1.0)
            self._got.failed += 1

    async def publish(self, queue: int, text: str) -> None:
        """Publish by one frame, and wait for its answer."""
        await self._producer.send(queue, text)
