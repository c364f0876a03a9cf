"""Subscribers by WebSocket on picows (the [push] extra)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.scenarios.push.subscribers import Crowd

if TYPE_CHECKING:
    from picows.picows import WSCloseHandshake

_HANDSHAKE_S = 30.0
"""Thousands shake hands at once: picows' own 5 s are for one."""


class Listener(WSListener):
    """One subscriber. States: away, connected, closed."""

    def __init__(self, who: int, crowd: Crowd) -> None:
        self._who = who
        self._crowd = crowd
        self._transport: WSTransport | None = None
        self._is_closed = False
        self._take = crowd.got.take

    def connect(self) -> None:
        """Connect, and follow from where it is."""
        self._crowd.spawn(self._connect())

    async def _connect(self) -> None:
        crowd = self._crowd
        crowd.got.asked()
        url = f"ws://{crowd.job.address}/socket?since={crowd.got.last[self._who]}"
        limit = crowd.job.frame_limit_bytes
        try:
            await ws_connect(
                lambda: self, url, max_frame_size=limit, websocket_handshake_timeout=_HANDSHAKE_S
            )
        except (WSError, OSError, TimeoutError):
            crowd.again(self, refused=True)

    def read_on(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()

    def close(self) -> None:
        """End for good."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        if self._crowd.stalls(self._who):
            transport.underlying_transport.pause_reading()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            number, _, text = frame.get_payload_as_bytes().partition(b" ")
            self._take(self._who, int(number), text)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        handshake = cast("WSCloseHandshake | None", transport.close_handshake)  # None: it ended without one
        sent = None if handshake is None else handshake.sent
        if self._is_closed:
            return
        if sent is not None and sent.code == WSCloseCode.MESSAGE_TOO_BIG:
            self._crowd.got.outgrown(self._who)  # it would be so again
        else:
            self._crowd.again(self)
