"""A body that is kept until it is whole: in memory while it is short, then in a file without a name."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from proxy.errors import NoRoom

MEMORY_BYTES = 64 * 1024
"""What a body may hold of memory; nginx keeps two pages of it (`client_body_buffer_size`)."""


class Collected:
    """Content that grows; `size` is its length in bytes.

    Args:
        head_bytes: more than the head can have that will be sent before it.
    """

    __slots__ = ("_content", "_file", "_room", "size")

    def __init__(self, head_bytes: int) -> None:
        self._content = bytearray()
        self._file: IO[bytes] | None = None
        self._room = head_bytes
        self.size = 0

    def add(self, content: bytes) -> None:
        """Keep more.

        Raises:
            NoRoom: the disk does not take it.
        """
        self.size += len(content)
        if self._file is None:
            self._content += content
            if self.size <= MEMORY_BYTES:
                return
            content = bytes(self._content)
            self._content.clear()
        with _translated():
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - `after` closes it, or its end does
                # Room for the head, whose length is not known yet: a hole, which takes no space.
                self._file.seek(self._room)
            self._file.write(content)

    def after(self, head: bytes) -> bytes | memoryview:
        """Return the content after `head`: of a file it is a view, which memory need never hold whole.

        Raises:
            NoRoom: as in `add`.
        """
        if self._file is None:
            return head + self._content
        begin = self._room - len(head)
        with _translated(), self._file as file:
            file.seek(begin)
            file.write(head)
            file.flush()
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))[begin:]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise NoRoom(f"a request body could not be kept: {reason}") from error
