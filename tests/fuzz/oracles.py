"""Two other readers, h11 and httptools (llhttp): what they make of a stream, in the words of `reading`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import h11
import httptools

_MOST_BYTES = 1 << 20
Fields = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Heard:
    """One whole message: `what` is a request's method or a response's status; names in lower case."""

    what: bytes
    target: bytes = b""
    fields: Fields = field(default_factory=list)
    body: bytes = b""


class H11Requests:
    """Reads a connection's requests; `error` is set once it has read what it does not allow."""

    name = "h11"

    def __init__(self) -> None:
        self.error: str | None = None
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_BYTES)
        self._heard = Heard(b"")

    def feed(self, data: bytes) -> Iterator[Heard]:
        """Yield the requests that are whole now."""
        if self.error is not None:
            return
        connection = self._connection
        try:
            connection.receive_data(data)
            while True:
                event = connection.next_event()
                if isinstance(event, h11.Request):
                    self._heard = Heard(event.method, event.target, list(event.headers))
                elif isinstance(event, h11.Data):
                    self._heard.body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    yield self._heard
                    connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                    connection.send(h11.EndOfMessage())
                    if connection.our_state is not h11.DONE:
                        self.error = "closed"
                        return
                    connection.start_next_cycle()
                else:
                    return
        except h11.ProtocolError as error:
            self.error = str(error)


class LlhttpRequests:
    """Reads a connection's requests; `error` is set once it has read what it does not allow.

    `is_lost`: it has met a method that it does not know, and reads no more.
    """

    name = "httptools"

    def __init__(self) -> None:
        self.error: str | None = None
        self.is_lost = False
        self._found: list[Heard] = []
        self._begin()

    def feed(self, data: bytes) -> Iterator[Heard]:
        """Yield the requests that are whole now."""
        while data and self.error is None and not self.is_lost:
            try:
                self._parser.feed_data(data)
                data = b""
            except httptools.HttpParserUpgrade as upgrade:
                # It stops behind the head; whoever does not switch reads on.
                if any(name in (b"content-length", b"transfer-encoding") for name, _ in self._heard.fields):
                    # It has taken the request for one without a body.
                    self._found.clear()
                    self.is_lost = True
                    return
                data = data[upgrade.args[0] :]
                self._begin()
            except httptools.HttpParserInvalidMethodError:
                # It knows a list of methods only; RFC 9110, section 9.1, lets there be others.
                self.is_lost = True
                return
            except httptools.HttpParserError as error:
                self.error = f"{type(error).__name__} {error}"
            found, self._found = self._found, []
            yield from found

    def _begin(self) -> None:
        self._heard = Heard(b"")
        self._parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self._heard = Heard(b"")

    def on_url(self, url: bytes) -> None:
        self._heard.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # It leaves the white space behind a value (RFC 9110, section 5.5).
        self._heard.fields.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self._heard.what = self._parser.get_method()

    def on_body(self, body: bytes) -> None:
        self._heard.body += body

    def on_message_complete(self) -> None:
        self._found.append(self._heard)


def h11_response(method: bytes, data: bytes) -> tuple[list[Heard], bool]:
    """Return what a client with h11 reads from a whole connection, and whether it came to its end."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_BYTES)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    heard: list[Heard] = []
    try:
        connection.receive_data(data)
        connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if isinstance(event, h11.InformationalResponse | h11.Response):
                heard.append(Heard(b"%d" % event.status_code, fields=list(event.headers)))
            elif isinstance(event, h11.Data):
                heard[-1].body += bytes(event.data)
            else:
                return heard, isinstance(event, h11.EndOfMessage)
    except h11.ProtocolError:
        return heard, False
