"""Subscribers by WebSocket on aiohttp's client."""

import asyncio

import aiohttp

from bench.scenarios.push.subscribers import SubscriberGroup

_TOO_BIG = aiohttp.WSCloseCode.MESSAGE_TOO_BIG


class WebSocketSubscriber:
    """One subscriber, in a task of its own."""

    def __init__(self, number: int, group: SubscriberGroup, session: aiohttp.ClientSession) -> None:
        self._number = number
        self._group = group
        self._session = session
        self._may_read = asyncio.Event()
        if not group.is_stalled(number):
            self._may_read.set()

    def connect(self) -> None:
        """Connect, and follow from where it is."""
        self._group.spawn(self._follow())

    def resume_reading(self) -> None:
        """Read again."""
        self._may_read.set()

    def close(self) -> None:
        """Do nothing: the group cancels its task."""

    async def _follow(self) -> None:
        group = self._group
        url = f"http://{group.job.address}/socket?since={group.counts.last[self._number]}"
        group.counts.count_request()
        try:
            async with self._session.ws_connect(
                url, compress=0, max_msg_size=group.job.frame_limit_bytes
            ) as socket:
                await self._may_read.wait()
                async for frame in socket:
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        break  # an error, and the close code says which
                    number, _, text = str(frame.data).encode().partition(b" ")
                    group.counts.receive(self._number, int(number), text)
        except (aiohttp.ClientError, OSError):
            group.reconnect(self, refused=True)
            return
        if socket.close_code == _TOO_BIG:
            group.counts.count_too_large(self._number)  # it would be so again
        else:
            group.reconnect(self)
