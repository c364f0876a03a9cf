"""The requests of a worker in HTTP/2, and the response to one of them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPMethod, HTTPStatus

from bench.load import http11
from bench.load.job import LoadJob
from bench.load.messages import RequestBuilder

Fields = list[tuple[bytes, bytes]]

_CONNECTION_FIELDS = frozenset(
    b"host connection proxy-connection keep-alive transfer-encoding upgrade".split()
)
"""What HTTP/2 says otherwise, or not at all (RFC 9113, section 8.2.2)."""
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def requests(job: LoadJob) -> Iterator[tuple[bytes, Fields]]:
    """Yield number and fields of one request after the other: those of HTTP/1.1, as HTTP/2 writes them."""
    scheme = b"https" if job.tls else b"http"
    authority = job.host_field.encode("latin-1")
    for number, request in RequestBuilder(job):
        head, _, _ = request.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        method, path, _ = line.split(b" ")
        fields: Fields = [
            (b":method", method),
            (b":scheme", scheme),
            (b":authority", authority),
            (b":path", path),
        ]
        for each in lines:
            name, _, value = each.partition(b": ")
            # RFC 9113, section 8.2: names are written in lowercase.
            if (lower := name.lower()) not in _CONNECTION_FIELDS:
                fields.append((lower, value))
        yield number, fields


@dataclass(slots=True)
class Http2Response:
    """One response, as far as it has arrived; the attributes are those of http11.ResponseReader."""

    method: bytes
    status: int = 0
    fields: Fields = field(default_factory=list)
    body_bytes: int = 0
    is_pattern_body: bool = True
    trailing: bytes = b""

    @property
    def is_bodiless(self) -> bool:
        """Return whether it has no body by its status, or by the method of its request."""
        return self.method == HTTPMethod.HEAD.encode() or self.status in _BODILESS

    def begin(self, fields: Fields) -> None:
        """Note the final head."""
        self.fields = fields
        self.status = next(int(value) for name, value in fields if name == b":status")

    def feed(self, data: bytes) -> None:
        """Note a part of the body."""
        self.is_pattern_body = self.is_pattern_body and http11.is_pattern(data, self.body_bytes)
        self.body_bytes += len(data)

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a field, in order."""
        return [value for each, value in self.fields if each == name]
