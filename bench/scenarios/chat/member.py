"""A member of the chat: one WebSocket, its rooms, and how it comes back when its connection ends."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

import aiohttp

from bench.load.counters import TimeHistogram
from bench.scenarios.client.process import Go

_RETRY_S = 0.1


@dataclass(slots=True)
class RoomReceiver:
    """What one member received in one room: whether everything, once and in order."""

    last: int = 0
    """The highest number received."""
    missing: set[int] = field(default_factory=set)
    doubled: int = 0
    out_of_order: int = 0

    def receive(self, number: int) -> bool:
        """Count a message; return whether it is new."""
        if number == self.last + 1:
            self.last = number
        elif number > self.last:
            self.missing.update(range(self.last + 1, number))
            self.last = number
        elif number in self.missing:
            self.missing.discard(number)
            self.out_of_order += 1
        else:
            self.doubled += 1
            return False
        return True

    def count_lacking(self, sent: int) -> int:
        """Return how many of the messages 1 to `sent` have not been received."""
        return len(self.missing) + sent - self.last


@dataclass(slots=True)
class RoomSender:
    """What one member sends in one room: numbered, and kept until it comes back."""

    count: int = 0
    pending: dict[int, str] = field(default_factory=dict)

    def add(self, text: str) -> dict[str, Any]:
        """Return the next message but for its room."""
        self.count += 1
        self.pending[self.count] = f"{text} {self.count}"
        return {"count": self.count, "text": self.pending[self.count]}

    def confirm(self, count: int) -> None:
        """Forget a message that came back."""
        self.pending.pop(count, None)


class ChatState:
    """What all members share: the session, the times, and the counts."""

    def __init__(self, session: aiohttp.ClientSession, go: Go, job: dict[str, Any]) -> None:
        self.session = session
        self.job = job
        self.go = go
        self.delays = TimeHistogram()
        self.sent = [0] * job["rooms"]
        """Messages that all members of each room sent."""
        self.reconnects = self.refused = self.presences = 0
        self.dropped_ns: list[int] = []
        self.back_ns: list[int] = []
        """When connections were lost, and when those who lost one were in their rooms again."""


class ChatMember:
    """One member."""

    def __init__(self, state: ChatState, name: str, rooms: Sequence[int]) -> None:
        self._state = state
        self._name = name
        self.receivers = {room: RoomReceiver() for room in rooms}
        self.senders = {room: RoomSender() for room in rooms}
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._was_in = False

    async def run(self) -> None:
        """Be in the rooms, and again whenever the connection ends, until cancelled."""
        while True:
            try:
                await self._visit()
            except (aiohttp.ClientError, OSError):
                self._state.refused += 1
            if self._socket is not None:
                self._socket = None
                self._state.dropped_ns.append(monotonic_ns())
            await asyncio.sleep(_RETRY_S)

    async def send(self, room: int) -> None:
        """Send a message in a room; it is sent again after a reconnect if it did not come back."""
        self._state.sent[room] += 1
        message = self.senders[room].add(f"{monotonic_ns()} {self._name}")
        await self._send({"room": str(room), **message})

    async def beat(self) -> None:
        """Send a heartbeat."""
        await self._send({"beat": 1})

    async def _send(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            return
        try:
            await self._socket.send_str(json.dumps(message))
        except (aiohttp.ClientError, OSError):
            return  # the reader sees the end too, and what did not come back is sent again

    async def _visit(self) -> None:
        state = self._state
        async with state.session.ws_connect(f"http://{state.job['address']}/chat", compress=0) as socket:
            joins = {str(room): receiver.last for room, receiver in self.receivers.items()}
            await socket.send_str(json.dumps({"join": joins, "who": self._name}))
            for room, sender in self.senders.items():
                for count, text in tuple(sender.pending.items()):
                    await socket.send_str(json.dumps({"room": str(room), "count": count, "text": text}))
            self._socket = socket
            is_in = False
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    break
                if not is_in:
                    is_in = True
                    self._come_in()
                self._receive(json.loads(frame.data))

    def _come_in(self) -> None:
        if self._was_in:
            self._state.reconnects += 1
            self._state.back_ns.append(monotonic_ns())
        self._was_in = True

    def _receive(self, message: dict[str, Any]) -> None:
        state = self._state
        if "present" in message:
            state.presences += 1
            return
        room = int(message["room"])
        moment, name, count = message["text"].split(" ")
        if self.receivers[room].receive(message["number"]) and state.go.is_in_window(int(moment)):
            state.delays.add(monotonic_ns() - int(moment))
        if name == self._name:
            self.senders[room].confirm(int(count))
