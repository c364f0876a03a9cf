"""Subscribers by WebSocket on picows (the [push] extra)."""

from typing import TYPE_CHECKING, cast

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from bench.scenarios.client import websocket
from bench.scenarios.push.subscribers import SubscriberGroup

if TYPE_CHECKING:
    from picows.picows import WSCloseHandshake


class PicowsSubscriber(WSListener):
    """One subscriber. States: away, connected, closed."""

    def __init__(self, number: int, group: SubscriberGroup) -> None:
        self._number = number
        self._group = group
        self._transport: WSTransport | None = None
        self._is_closed = False
        self._receive = group.counts.receive

    def connect(self) -> None:
        """Connect, and follow from where it is."""
        self._group.spawn(self._connect())

    async def _connect(self) -> None:
        group = self._group
        group.counts.count_request()
        url = f"ws://{group.job.address}/socket?since={group.counts.last[self._number]}"
        try:
            await websocket.connect(self, url, max_frame_size=group.job.frame_limit_bytes)
        except OSError:
            group.reconnect(self, refused=True)

    def resume_reading(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()

    def close(self) -> None:
        """End for good."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Stop reading, if it is to be stalled."""
        self._transport = transport
        if self._group.is_stalled(self._number):
            transport.underlying_transport.pause_reading()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Receive a message."""
        if frame.msg_type == WSMsgType.TEXT:
            number, _, text = frame.get_payload_as_bytes().partition(b" ")
            self._receive(self._number, int(number), text)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Connect again, unless it is over or a message was too large."""
        self._transport = None
        handshake = cast("WSCloseHandshake | None", transport.close_handshake)  # None: it ended without one
        sent = None if handshake is None else handshake.sent
        if self._is_closed:
            return
        if sent is not None and sent.code == WSCloseCode.MESSAGE_TOO_BIG:
            self._group.counts.count_too_large(self._number)  # it would be so again
        else:
            self._group.reconnect(self)
