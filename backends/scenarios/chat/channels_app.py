"""`daphne backends.scenarios.chat.channels_app:application`: the chat as a Django Channels application.

A room is a group of the in-memory channel layer, as in the tutorial of Django Channels; the rooms themselves
are rooms.py. Needs the [channels] extra; daphne runs it, and it talks over no pipes.
"""

from typing import Any

import django
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path

from backends.scenarios.chat.rooms import Rooms

_CAPACITY = 10_000
"""Messages that wait for one member; the layer silently drops what comes beyond them (by default 100)."""

settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={
        "default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": _CAPACITY}}
    },
    USE_TZ=True,
)
django.setup()

ROOMS = Rooms()
"""All rooms: one process of daphne has them all."""


class ChannelsMember(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """One connection."""

    async def connect(self) -> None:
        """Accept a member."""
        self.member = ""
        self.rooms: list[str] = []
        await self.accept()

    async def receive_json(self, content: dict[str, Any], **_: Any) -> None:
        """Handle what a member sends."""
        if "join" in content:
            self.member = content["who"]
            for name, number in content["join"].items():
                await self._join(name, number)
        elif "text" in content:
            message = ROOMS[content["room"]].publish(self.member, content["count"], content["text"])
            if message is not None:
                await self._broadcast(content["room"], {"number": message[0], "text": message[1]})

    async def disconnect(self, code: int) -> None:
        """Remove a member from its rooms."""
        for name in self.rooms:
            await self.channel_layer.group_discard(name, self.channel_name)
            if ROOMS[name].leave(self.member):
                await self._broadcast(name, {"present": len(ROOMS[name].present)})

    async def broadcast(self, event: dict[str, Any]) -> None:
        """Send what goes to the group of a room."""
        await self.send_json(event["message"])

    async def _join(self, name: str, number: int) -> None:
        self.rooms.append(name)
        room = ROOMS[name]
        # In the group first, then the messages that are kept: what is sent in between comes by the group.
        await self.channel_layer.group_add(name, self.channel_name)
        for each, text in room.after(number):
            await self.send_json({"room": name, "number": each, "text": text})
        if room.enter(self.member):
            await self._broadcast(name, {"present": len(room.present)})

    async def _broadcast(self, name: str, message: dict[str, Any]) -> None:
        await self.channel_layer.group_send(name, {"type": "broadcast", "message": {"room": name, **message}})


application = ProtocolTypeRouter({"websocket": URLRouter([path("chat", ChannelsMember.as_asgi())])})
