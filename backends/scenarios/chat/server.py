"""`python -m backends.chat`: a chat with rooms, one WebSocket for each member, on aiohttp.

A member says `{"join": {ROOM: NUMBER}, "who": NAME}` once, and then `{"room", "count", "text"}` for what it
says; `{"beat": 1}` says nothing. It gets `{"room", "number", "text"}` for what is said in its rooms, and
`{"room", "present": N}` when somebody comes or goes. What rooms do is backends/rooms.py.
"""

import argparse
import asyncio
import json
import sys
from typing import Any, Final

from aiohttp import WSMsgType, web

from backends.counters import Counters
from backends.role import Backend
from backends.rooms import Room, Rooms
from backends.serving import Parser, main
from backends.watched import WatchedServer

_NEVER_S: Final = 7 * 86400.0
_WAITING: Final = 10_000
"""Messages that wait for a member that does not read; its connection is ended when there are more."""


class Member:
    """One connection, and what is to be sent to it."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self._transport = transport
        self.who = ""
        self.rooms: list[Room] = []
        self._waiting: asyncio.Queue[str] = asyncio.Queue(_WAITING)

    def tell(self, text: str) -> None:
        """Have a message sent, in its turn; ends the connection of a member that does not read."""
        if not self._waiting.full():
            self._waiting.put_nowait(text)
        elif self._transport is not None:
            self._transport.abort()

    async def send(self) -> None:
        """Send what waits until the connection ends."""
        while True:
            await self.socket.send_str(await self._waiting.get())


class Chat:
    """The rooms and who listens in each."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._rooms = Rooms()
        self._listening: dict[str, dict[Member, None]] = {}

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
                self._take(member, json.loads(frame.data))
        finally:
            self._leave(member)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return socket

    def _take(self, member: Member, message: dict[str, Any]) -> None:
        if "join" in message:
            member.who = message["who"]
            for name, number in message["join"].items():
                self._join(member, self._rooms[name], number)
        elif "text" in message:
            room = self._rooms[message["room"]]
            said = room.say(member.who, message["count"], message["text"])
            if said is not None:
                self._tell(room, {"number": said[0], "text": said[1]})

    def _join(self, member: Member, room: Room, number: int) -> None:
        member.rooms.append(room)
        for each, text in room.after(number):
            member.tell(json.dumps({"room": room.name, "number": each, "text": text}))
        self._listening.setdefault(room.name, {})[member] = None
        if room.enter(member.who):
            self._tell(room, {"present": len(room.present)})

    def _leave(self, member: Member) -> None:
        for room in member.rooms:
            del self._listening[room.name][member]
            if room.leave(member.who):
                self._tell(room, {"present": len(room.present)})

    def _tell(self, room: Room, message: dict[str, Any]) -> None:
        text = json.dumps({"room": room.name, **message})
        for each in self._listening.get(room.name, ()):
            each.tell(text)


async def _make(given: argparse.Namespace, counters: Counters) -> Backend:
    application = web.Application()
    application.add_routes([web.get("/chat", Chat(counters).serve)])
    runner = web.AppRunner(application, access_log=None, handle_signals=False, keepalive_timeout=_NEVER_S)
    await runner.setup()
    assert runner.server is not None, "a runner that is set up has a server"
    return WatchedServer(runner.server, counters)


if __name__ == "__main__":
    sys.exit(main(Parser("backends.chat", "A chat with rooms, by WebSocket."), sys.argv[1:], _make))
