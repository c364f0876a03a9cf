"""Storage for a request body until it is complete: memory first, then an unnamed temporary file."""

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from proxy.errors import SpoolFailed

MEMORY_BYTES = 64 * 1024
"""Bytes of a body kept in memory; nginx keeps two pages (`client_body_buffer_size`)."""


class BodySpool:
    """A growing body; `size` is its length in bytes.

    Args:
        head_bytes: upper bound of the head that will be sent before the body.
    """

    __slots__ = ("_content", "_file", "_head_bytes", "size")

    def __init__(self, head_bytes: int) -> None:
        self._content = bytearray()
        self._file: IO[bytes] | None = None
        self._head_bytes = head_bytes
        self.size = 0

    def add(self, content: bytes) -> None:
        """Append content.

        Raises:
            SpoolFailed: the temporary file cannot be written.
        """
        self.size += len(content)
        if self._file is None:
            self._content += content
            if self.size <= MEMORY_BYTES:
                return
            content = bytes(self._content)
            self._content.clear()
        with _translate_errors():
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - `prepend` closes it, or its finalizer does
                # A hole for the head, whose length is unknown yet; it takes no space.
                self._file.seek(self._head_bytes)
            self._file.write(content)

    def prepend(self, head: bytes) -> bytes | memoryview:
        """Return `head` and the body; a body in a file is mapped, so that memory never holds all of it.

        Raises:
            SpoolFailed: as in `add`.
        """
        if self._file is None:
            return head + self._content
        begin = self._head_bytes - len(head)
        with _translate_errors(), self._file as file:
            file.seek(begin)
            file.write(head)
            file.flush()
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))[begin:]


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SpoolFailed(f"a request body could not be kept: {reason}") from error
