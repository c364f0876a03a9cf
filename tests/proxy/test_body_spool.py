"""Request bodies stored until they are complete."""

import errno
import tempfile
from typing import IO
from unittest.mock import Mock

import pytest

from proxy.body_spool import MEMORY_BYTES, BodySpool
from proxy.errors import SpoolFailed

HEAD = b"POST / HTTP/1.0\r\n\r\n"


@pytest.mark.parametrize("size", [0, 5, MEMORY_BYTES, MEMORY_BYTES + 1, 5 * MEMORY_BYTES + 7])
@pytest.mark.parametrize("piece", [1000, MEMORY_BYTES, 10 * MEMORY_BYTES])
def test_a_body_comes_back_after_its_head(size: int, piece: int) -> None:
    content = bytes(number * number % 251 for number in range(size))
    spool = BodySpool(100)
    for begin in range(0, size, piece):
        spool.add(content[begin : begin + piece])
    assert spool.size == size
    request = spool.prepend(HEAD)
    assert bytes(request) == HEAD + content
    assert isinstance(request, memoryview) == (size > MEMORY_BYTES), "a long one need not be in memory"


def full_disk() -> IO[bytes]:
    return Mock(write=Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", full_disk)
    spool = BodySpool(100)
    spool.add(b"x" * MEMORY_BYTES)
    with pytest.raises(SpoolFailed, match="no space left") as caught:
        spool.add(b"x")
    assert caught.value.status == 507
