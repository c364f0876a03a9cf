"""Where messages of the shapes end: just enough of HTTP/1.1 for our own bytes, as proxies pass them on."""

from __future__ import annotations

import re

HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"
_BODY = re.compile(rb"\r\n(?:content-length:[ \t]*(\d+)|(transfer-encoding):)", re.IGNORECASE)


def whole_requests(data: bytes) -> tuple[int, int]:
    """Return how many whole requests `data` begins with, and how many bytes they are.

    No GET and no HEAD of the table has a body, so that their fields need not be looked at.
    """
    count = begin = 0
    while (end := data.find(HEAD_END, begin)) >= 0:
        end += len(HEAD_END)
        if data[begin] not in b"GH":
            end = _body_end(data, begin, end)
            if end < 0:
                break
        count, begin = count + 1, end
    return count, begin


def response_end(data: bytes, is_head: bool) -> int:
    """Return where the first response in `data` ends.

    It is -1 where that cannot be told yet, or only by the end of the connection.
    """
    end = data.find(HEAD_END)
    if end < 0:
        return -1
    end += len(HEAD_END)
    return end if is_head or data[9:12] in (b"204", b"304") else _body_end(data, 0, end)


def _body_end(data: bytes, head: int, body: int) -> int:
    """Return where the body ends that begins at `body`, after the head at `head`; -1: not in `data`."""
    found = _BODY.search(data, head, body - 2)
    if found is None:
        return body if data[head : head + 5] != b"HTTP/" else -1
    if found[1] is not None:
        end = body + int(found[1])
        return end if end <= len(data) else -1
    # The data of our chunks never looks like a last chunk, and they have no trailers.
    last = data.find(LAST_CHUNK, body - 2)
    return last + len(LAST_CHUNK) if last >= 0 else -1
