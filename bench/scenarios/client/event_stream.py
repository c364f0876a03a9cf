"""Server-sent events, read in one place. Pure.

For the hot path of subscribers: a general decoder (httpx-sse's) takes twice as long for an event.
"""

from collections.abc import Iterator


class EventStream:
    """Parses a stream of events (WHATWG HTML, section 9.2), each `id: NUMBER` and then `data: TEXT`."""

    def __init__(self) -> None:
        self._unread = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the number and the text of each event that a piece of the stream completes."""
        *events, self._unread = (self._unread + data).split(b"\n\n")
        for event in events:
            number, _, text = event.partition(b"\n")
            yield int(number[4:]), text[6:]
