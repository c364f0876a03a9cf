"""A member of the chat: one WebSocket, its rooms, and how it comes back when its connection ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any

import aiohttp

from bench.scenarios.chat.tally import Ear, Mouth
from bench.scenarios.client.process import Go, Times

_RETRY_S = 0.1


class House:
    """What all members share: the session, the times, and who is in."""

    def __init__(self, session: aiohttp.ClientSession, go: Go, job: dict[str, Any]) -> None:
        self.session = session
        self.job = job
        self.go = go
        self.delays = Times()
        self.said = [0] * job["rooms"]
        """Messages that were said in each room, by all of its members."""
        self.connected = self.reconnects = self.refused = self.presences = 0
        self.dropped_ns: list[int] = []
        self.back_ns: list[int] = []
        """When connections were lost, and when those who lost one were in their rooms again."""


class Member:
    """One member."""

    def __init__(self, house: House, who: str, rooms: Sequence[int]) -> None:
        self._house = house
        self._who = who
        self.ears = {room: Ear() for room in rooms}
        self.mouths = {room: Mouth() for room in rooms}
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._was_in = False

    async def live(self) -> None:
        """Be in the rooms, and again whenever the connection ends, until cancelled."""
        while True:
            try:
                await self._visit()
            except (aiohttp.ClientError, OSError):
                self._house.refused += 1
            if self._socket is not None:
                self._socket = None
                self._house.connected -= 1
                self._house.dropped_ns.append(monotonic_ns())
            await asyncio.sleep(_RETRY_S)

    async def say(self, room: int) -> None:
        """Say something in a room; it is said again after a reconnect if it was not heard."""
        self._house.said[room] += 1
        count, text = self.mouths[room].say(f"{monotonic_ns()} {self._who}")
        await self._send({"room": str(room), "count": count, "text": f"{text} {count}"})

    async def beat(self) -> None:
        """Send something that says nothing."""
        await self._send({"beat": 1})

    async def _send(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            return
        try:
            await self._socket.send_str(json.dumps(message))
        except (aiohttp.ClientError, OSError):
            return  # the reader sees the end too, and what was not heard is said again

    async def _visit(self) -> None:
        house = self._house
        url = f"http://{house.job['address']}/chat"
        async with house.session.ws_connect(url, compress=0) as socket:
            joins = {str(room): ear.last for room, ear in self.ears.items()}
            await socket.send_str(json.dumps({"join": joins, "who": self._who}))
            for room, mouth in self.mouths.items():
                for count, text in tuple(mouth.unheard.items()):
                    said = {"room": str(room), "count": count, "text": f"{text} {count}"}
                    await socket.send_str(json.dumps(said))
            self._socket = socket
            house.connected += 1
            is_in = False
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    break
                if not is_in:
                    is_in = True
                    self._come_in()
                self._hear(json.loads(frame.data))

    def _come_in(self) -> None:
        if self._was_in:
            self._house.reconnects += 1
            self._house.back_ns.append(monotonic_ns())
        self._was_in = True

    def _hear(self, message: dict[str, Any]) -> None:
        house = self._house
        if "present" in message:
            house.presences += 1
            return
        room = int(message["room"])
        moment, who, count = message["text"].split(" ")
        if self.ears[room].hear(message["number"]) and house.go.is_in_window(int(moment)):
            house.delays.add(monotonic_ns() - int(moment))
        if who == self._who:
            self.mouths[room].heard(int(count))
