"""Write pages of the kernel's ring buffer as `ring_buffer_lock_reserve` does, to read them back in tests."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from bench.watch.ring_buffer import (
    DELTA_BITS,
    LARGEST_SHORT,
    MISSED_EVENTS,
    MISSED_STORED,
    PADDING,
    TIME_EXTEND,
    TIME_STAMP,
    PageFormat,
)

LAYOUT = PageFormat(commit_offset=8, commit_size=8, data_offset=16, page_size=4096)
MOST_DELTA = (1 << DELTA_BITS) - 1
STAMP_BITS = 59
END_BYTES = 8
"""Kept free at the end of a page, for the number of records lost."""


def header(kind: int, delta: int) -> bytes:
    """Return the word that each record begins with, of a little-endian machine."""
    return struct.pack("<I", kind | delta << 5)


@dataclass
class Page:
    """A page that grows by records; `time_ns` is that of the last one."""

    time_ns: int
    layout: PageFormat = LAYOUT
    data: bytearray = field(default_factory=bytearray)
    lost: int | None = None
    """Records lost before it; 0: the kernel does not say how many."""
    written: list[tuple[int, int, bytes]] = field(default_factory=list)
    """What a reader must find: time, place of the payload in bytes from the page's beginning, payload."""

    def __post_init__(self) -> None:
        self.began_ns = self.time_ns

    def record(self, payload: bytes, delta: int) -> None:
        """Append a record with `payload`, `delta` nanoseconds after the last one, if there is room."""
        extend = b""
        time_ns = self.time_ns + delta
        if delta > MOST_DELTA:
            # The extension carries the whole difference; the record behind it adds nothing.
            extend, delta = _far(TIME_EXTEND, delta), 0
        body = payload + bytes(-len(payload) % 4)
        is_short = 0 < len(body) <= LARGEST_SHORT * 4
        length = b"" if is_short else struct.pack("<I", len(body) + 4)
        head = extend + header(len(body) // 4 if is_short else 0, delta) + length
        at = self.layout.data_offset + len(self.data) + len(head)
        if self._append(head + body):
            self.time_ns = time_ns
            self.written.append((time_ns, at, payload))

    def stamp(self, time_ns: int) -> None:
        """Append an absolute time, of which the highest five bits are those of the page."""
        if self._append(_far(TIME_STAMP, time_ns & ((1 << STAMP_BITS) - 1))):
            self.time_ns = time_ns

    def discarded(self, payload: bytes, delta: int) -> None:
        """Append a record that its writer took back: it is padding now, and its time still counts."""
        body = payload + bytes(-len(payload) % 4)
        delta = max(1, delta & MOST_DELTA)
        if self._append(header(PADDING, delta) + struct.pack("<I", len(body) + 4) + body):
            self.time_ns += delta

    def end(self) -> bytes:
        """Return the page, with what was lost behind its data, or a padding up to its end."""
        length, flags, behind = len(self.data), 0, header(PADDING, 0)
        if self.lost is not None:
            flags = MISSED_EVENTS | (MISSED_STORED if self.lost else 0)
            behind = struct.pack("<Q", self.lost)
        page = struct.pack("<QQ", self.began_ns, length | flags) + bytes(self.data) + behind
        return page.ljust(self.layout.page_size, b"\0")

    def _append(self, record: bytes) -> bool:
        room = self.layout.page_size - self.layout.data_offset - len(self.data) - END_BYTES
        if len(record) > room:
            return False
        self.data += record
        return True


def _far(kind: int, time_ns: int) -> bytes:
    return header(kind, time_ns & MOST_DELTA) + struct.pack("<I", time_ns >> DELTA_BITS)
