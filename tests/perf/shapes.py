"""The table of shapes: what clients send and what servers answer, byte for byte, named after who sends it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.perf import request_templates as requests
from tests.perf import response_templates as responses
from tests.perf.messages import Pieces, variants
from tests.perf.response_templates import ITEM, PAGE

_CONNECTION = re.compile(rb"\r\n(?:connection|keep-alive):[^\r]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Shape:
    """One exchange as it is seen on the wire."""

    name: str
    sender: str
    """Who sends it: the client, then the server."""
    request: Pieces
    """Templates; each piece is a segment of its own."""
    response: Pieces
    body: bytes = b""
    """The template of what the client is to receive as the body."""
    status: int = 200
    upstream: str = "ipv4"

    @property
    def closes(self) -> bool:
        """Return whether the server closes after each response, and says so."""
        return b"\r\nConnection: close\r\n" in self.response[0]

    def requests(self) -> list[Pieces]:
        """Return all requests."""
        return list(variants(self.request))

    def responses(self, closes: bool) -> list[Pieces]:
        """Return all responses; `closes`: each says that its connection ends with it."""
        first, *rest = self.response
        if closes and not self.closes:
            head, end, body = first.partition(b"\r\n\r\n")
            first = _CONNECTION.sub(b"", head) + b"\r\nConnection: close" + end + body
        return list(variants((first, *rest)))


_TABLE = (
    Shape("plain", "GET of two fields; nginx", requests.PLAIN, responses.PLAIN, b" !"),
    Shape("browser", "Chrome; a site with 12 fields", requests.CHROME, responses.SITE, PAGE),
    Shape("node", "Chrome; Node with Express", requests.CHROME, responses.NODE, ITEM),
    Shape("post", "requests, a POST of 1 KiB; nginx", requests.POST, responses.CREATED, ITEM),
    Shape(
        "chunked", "GET of two fields; gunicorn, chunked", requests.PLAIN, responses.GUNICORN_CHUNKED, PAGE
    ),
    Shape("304", "Chrome, If-None-Match; nginx", requests.REVALIDATION, responses.NOT_MODIFIED, b"", 304),
)
SHAPES = {shape.name: shape for shape in _TABLE}
