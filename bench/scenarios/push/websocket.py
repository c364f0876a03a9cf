"""Subscribers by WebSocket on aiohttp's client."""

from __future__ import annotations

import asyncio

import aiohttp

from bench.scenarios.push.subscribers import Crowd

_TOO_BIG = aiohttp.WSCloseCode.MESSAGE_TOO_BIG


class Socket:
    """One subscriber, in a task of its own."""

    def __init__(self, who: int, crowd: Crowd, session: aiohttp.ClientSession) -> None:
        self._who = who
        self._crowd = crowd
        self._session = session
        self._may_read = asyncio.Event()
        if not crowd.stalls(who):
            self._may_read.set()

    def connect(self) -> None:
        """Connect, and follow from where it is."""
        self._crowd.spawn(self._follow())

    def read_on(self) -> None:
        """Read again."""
        self._may_read.set()

    def close(self) -> None:
        """Leave the end to the crowd, which cancels its task."""

    async def _follow(self) -> None:
        crowd = self._crowd
        url = f"http://{crowd.job.address}/socket?since={crowd.got.last[self._who]}"
        crowd.got.asked()
        try:
            async with self._session.ws_connect(
                url, compress=0, max_msg_size=crowd.job.frame_limit_bytes
            ) as socket:
                await self._may_read.wait()
                async for frame in socket:
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        break  # an error, and the close code says which
                    number, _, text = str(frame.data).encode().partition(b" ")
                    crowd.got.take(self._who, int(number), text)
        except (aiohttp.ClientError, OSError):
            crowd.again(self, refused=True)
            return
        if socket.close_code == _TOO_BIG:
            crowd.got.outgrown(self._who)  # it would be so again
        else:
            crowd.again(self)
