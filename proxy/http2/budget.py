"""What a client may cost while it gets nothing done: a bucket of bytes, and one of lost streams.

A frame of 9 bytes can cost the proxy a thousand times what it costs the client: a PING is answered, SETTINGS
are too, a head may go on in frames without end, and a stream that is reset at once has opened an upstream
connection (CVE-2019-9512, 9514, 9515 and 9518, CVE-2024-27919, CVE-2023-44487; CVE-2025-8671 where the client
has the proxy reset it). So all that a client sends is charged, and what proves to be a request or its content
is given back. So are time, and responses that it takes: a long connection is not ended for its length.
"""

from h2 import events

CAPACITY = 128 * 1024.0
"""Bytes that a client may send without a request: the longest head fits, which is one only at its end."""
PER_SECOND = 4 * 1024.0
"""Bytes that time gives back: 240 PINGs."""
MAX_LOSSES = 256.0
"""Streams that may end at once without a response by the client's doing, for each of which an upstream
connection is lost: a page of 128 requests may be cancelled and loaded anew.
"""
LOSSES_PER_SECOND = 8.0
LOSS_GAIN = 0.25
"""Losses that a complete response gives back: of what many users share, a part is always cancelled."""
RESPONSE_GAIN = 64.0
"""For a complete response: a client may send a WINDOW_UPDATE for the stream and one for the connection."""
BYTE_GAIN = 1 / 32
"""For a byte that is sent: some clients update both windows every kilobyte."""
MAX_ALLOWANCE = 1024 * 1024.0
"""What may be on its way for streams that the proxy has reset: the window of the connection."""
_FRAME_HEAD_BYTES = 9
"""RFC 9113, section 4.1."""


class Budget:
    """The bytes, and the losses, of one connection.

    Args:
        now: seconds, on the clock that later calls go by.
    """

    __slots__ = ("_at", "_left", "_losses")

    def __init__(self, now: float) -> None:
        self._left = CAPACITY
        self._losses = MAX_LOSSES
        self._at = now

    def earn(self, size: float) -> None:
        """Give bytes back; there are never more than CAPACITY."""
        self._left = max(self._left, min(CAPACITY, self._left + size))

    def complete(self) -> None:
        """Note a complete response."""
        self.earn(RESPONSE_GAIN)
        self._losses = min(MAX_LOSSES, self._losses + LOSS_GAIN)

    def allow(self, size: float) -> None:
        """Give bytes that may come for nothing, whatever has been spent."""
        self._left = min(CAPACITY + MAX_ALLOWANCE, self._left + size)

    def spend(self, size: float, now: float) -> bool:
        """Take bytes; return False if there were too few, so that the connection must end."""
        self._advance(now)
        self._left -= size
        return self._left >= 0

    def lose(self, now: float) -> bool:
        """Note a lost stream; return False if there were too many, so that the connection must end."""
        self._advance(now)
        self._losses -= 1
        return self._losses >= 0

    def _advance(self, now: float) -> None:
        if now > self._at:
            passed_s, self._at = now - self._at, now
            self.earn(passed_s * PER_SECOND)
            self._losses = min(MAX_LOSSES, self._losses + passed_s * LOSSES_PER_SECOND)


def useful_bytes(event: events.Event) -> int:
    """Return how many bytes of a request, or of its content, an event of h2 brings."""
    if isinstance(event, events.DataReceived):
        # With the padding around it, which is the client's right (section 10.7).
        return event.flow_controlled_length + _FRAME_HEAD_BYTES if event.data else 0
    if isinstance(event, events.RequestReceived):
        return sum(len(name) + len(value) for name, value in event.headers) + _FRAME_HEAD_BYTES
    return 0
