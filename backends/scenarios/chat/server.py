"""`python -m backends.scenarios.chat.server`: a chat with rooms, one WebSocket for each member, on aiohttp.

A member sends `{"join": {ROOM: NUMBER}, "who": NAME}` once, and then `{"room", "count", "text"}` for each
message; `{"beat": 1}` only keeps the connection alive. It receives `{"room", "number", "text"}` for each
message in its rooms, and `{"room", "present": N}` when a member comes or goes.
"""

import argparse
import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web

from backends.protocols import aiohttp_server
from backends.role.backend import Backend
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters
from backends.scenarios.chat.rooms import Room, Rooms

_UNSENT_MAX = 10_000
"""Messages that wait for a member that does not read; its connection is ended when there are more."""


class Member:
    """One connection, and what is to be sent to it."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self._transport = transport
        self.name = ""
        self.rooms: list[Room] = []
        self._unsent: asyncio.Queue[str] = asyncio.Queue(_UNSENT_MAX)

    def push(self, text: str) -> None:
        """Queue a message; end the connection of a member that does not read."""
        if not self._unsent.full():
            self._unsent.put_nowait(text)
        elif self._transport is not None:
            self._transport.abort()

    async def send(self) -> None:
        """Send what is queued until the connection ends."""
        while True:
            await self.socket.send_str(await self._unsent.get())


class Chat:
    """The rooms and the connections that follow each."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._rooms = Rooms()
        self._followers: dict[str, dict[Member, None]] = {}

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one member."""
        self._counters.requests += 1
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        member = Member(socket, request.transport)
        sending = asyncio.ensure_future(member.send())
        try:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    break
                self._receive(member, json.loads(frame.data))
        finally:
            self._leave(member)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return socket

    def _receive(self, member: Member, content: dict[str, Any]) -> None:
        if "join" in content:
            member.name = content["who"]
            for name, number in content["join"].items():
                self._join(member, self._rooms[name], number)
        elif "text" in content:
            room = self._rooms[content["room"]]
            message = room.publish(member.name, content["count"], content["text"])
            if message is not None:
                self._broadcast(room, {"number": message[0], "text": message[1]})

    def _join(self, member: Member, room: Room, number: int) -> None:
        member.rooms.append(room)
        for each, text in room.after(number):
            member.push(json.dumps({"room": room.name, "number": each, "text": text}))
        self._followers.setdefault(room.name, {})[member] = None
        if room.enter(member.name):
            self._broadcast(room, {"present": len(room.present)})

    def _leave(self, member: Member) -> None:
        for room in member.rooms:
            del self._followers[room.name][member]
            if room.leave(member.name):
                self._broadcast(room, {"present": len(room.present)})

    def _broadcast(self, room: Room, content: dict[str, Any]) -> None:
        text = json.dumps({"room": room.name, **content})
        for each in self._followers.get(room.name, ()):
            each.push(text)


async def _make(given: argparse.Namespace) -> Backend:
    counters = Counters()
    return await aiohttp_server.make_backend([web.get("/chat", Chat(counters).serve)], counters)


if __name__ == "__main__":
    parser = server_parser("backends.scenarios.chat.server", "A chat with rooms, by WebSocket.")
    run_server(parser, _make)
