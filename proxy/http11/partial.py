"""Lines that arrive in pieces: what is looked at once is not looked at again.

A head, a chunk size or a trailer section may come a byte at a time. It can be judged only where a line
ends, where an octet is never valid, or at its limit; until then its pieces are stored unread.
"""

from proxy.http11.grammar import BAD_OCTET


class PartialLines:
    """The bytes of lines that are not complete; `limit` is the most that are worth storing."""

    __slots__ = ("_data", "_limit")

    def __init__(self, data: bytes, limit: int) -> None:
        self._data = bytearray(data)
        self._limit = limit

    def add(self, piece: bytes) -> bytes | None:
        """Add a piece; return all bytes if they can be judged now, else None."""
        last = bytes(self._data[-1:])
        self._data += piece
        if b"\n" in piece or len(self._data) >= self._limit:
            return bytes(self._data)
        # A bare CR may be the last byte before the piece.
        is_bad = BAD_OCTET.search(last + piece, 0 if last == b"\r" else len(last))
        return bytes(self._data) if is_bad else None

    @property
    def data(self) -> bytes:
        """Return all bytes so far."""
        return bytes(self._data)
