"""The table of shapes: what clients send and what servers answer, byte for byte, named after who sends it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from tests.perf import request_templates as requests
from tests.perf import response_templates as responses
from tests.perf.messages import Pieces, variants
from tests.perf.response_templates import ITEM, PAGE

_END = b"\r\n\r\n"
ECHO = b"@echo@"
"""In a response it stands for the X-Bench-Id of its request."""
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
        return any(b"\r\nConnection: close\r\n" in piece for piece in self.response)

    @property
    def is_head(self) -> bool:
        """Return whether no body follows, whatever the response's fields say."""
        return self.request[0].startswith(b"HEAD ")

    def requests(self) -> list[Pieces]:
        """Return all requests."""
        return list(variants(self.request))

    def responses(self, closes: bool = False, echoes: bool = False) -> list[Pieces]:
        """Return all responses; `closes`: each says that its connection ends; `echoes`: its ECHO is open."""
        response = self.response
        if closes and not self.closes:
            said_nothing = tuple(_CONNECTION.sub(b"", piece) for piece in response)
            response = _with_field(said_nothing, b"Connection: close")
        if echoes:
            response = _with_field(response, b"X-Bench-Id: " + ECHO)
        return list(variants(response))


def _with_field(response: Pieces, line: bytes) -> Pieces:
    """Return the template with one more field, the last."""
    ended = next(number for number, piece in enumerate(response) if _END in piece)
    head, end, body = response[ended].partition(_END)
    return (*response[:ended], head + b"\r\n" + line + end + body, *response[ended + 1 :])


def _row(  # noqa: PLR0917
    name: str, sender: str, request: Pieces, response: Pieces, body: bytes, status: int = 200
) -> tuple[str, Shape]:
    return name, Shape(name, sender, request, response, body, status)


_STREAM = b"".join(responses.ROWS)
SHAPES = dict(
    (
        _row("plain", "GET of two fields; five fields", requests.TWO_FIELDS, responses.FIVE_FIELDS, b" !"),
        _row("browser", "Chrome; a site with 12 fields", requests.CHROME, responses.SITE, PAGE),
        _row("node", "Chrome; Express on Node", requests.CHROME, responses.NODE, ITEM),
        _row("post", "Python's requests, 1 KiB; nginx", requests.POST, responses.FIVE_FIELDS, b" !"),
        _row("post-late", "the body in a later segment", requests.POST_LATE, responses.FIVE_FIELDS, b" !"),
        _row("post-chunked", "two chunks; nginx", requests.POST_CHUNKED, responses.FIVE_FIELDS, b" !"),
        _row("post-go", "Go, chunks in two segments; Go", requests.POST_GO, responses.GO, ITEM),
        _row("put-16k", "axios, 16 KiB; Express", requests.PUT, responses.NODE, ITEM),
        _row("form", "Chrome, a form; nginx", requests.CHROME_FORM, responses.REDIRECT, responses.MOVED, 302),
        _row("chunked", "nginx, before PHP", requests.TWO_FIELDS, responses.NGINX_CHUNKED, PAGE),
        _row("chunked-gunicorn", "gunicorn", requests.TWO_FIELDS, responses.GUNICORN_CHUNKED, PAGE),
        _row("chunked-go", "Go, four chunks flushed", requests.TWO_FIELDS, responses.GO_CHUNKED, _STREAM),
        _row("chunked-node", "Node, four chunks", requests.TWO_FIELDS, responses.NODE_CHUNKED, _STREAM),
        _row("chunked-uvicorn", "uvicorn, four chunks", requests.CURL, responses.UVICORN_CHUNKED, _STREAM),
        _row("304", "Chrome, If-None-Match; nginx", requests.CHROME_AGAIN, responses.NOT_MODIFIED, b"", 304),
        _row("204", "curl, DELETE; Express", requests.CURL_DELETE, responses.NO_CONTENT, b"", 204),
        _row("preflight", "Chrome, OPTIONS; Express", requests.PREFLIGHT, responses.CORS, b"", 204),
        _row("302", "Firefox; nginx", requests.FIREFOX, responses.REDIRECT, responses.MOVED, 302),
        _row("head", "curl, HEAD; nginx", requests.CURL_HEAD, responses.HEAD_NGINX, b""),
        _row("http10", "ApacheBench with -k, HTTP/1.0", requests.AB, responses.FIVE_FIELDS, b" !"),
        _row("client-closes", "a probe, Connection: close", requests.CLOSING, responses.FIVE_FIELDS, b" !"),
        _row("curl", "curl; nginx", requests.CURL, responses.NGINX, PAGE),
        _row("firefox", "Firefox; nginx", requests.FIREFOX, responses.NGINX, PAGE),
        _row("fetch", "Chrome's fetch with a token; Tomcat", requests.FETCH, responses.TOMCAT, ITEM),
        _row("java", "the JDK's client, Upgrade: h2c; Netty", requests.JAVA, responses.NETTY, ITEM),
        _row("gateway", "lower case; Envoy", requests.GATEWAY, responses.ENVOY, ITEM),
        _row("cdn", "with X-Forwarded-For and Via; Apache", requests.CDN, responses.APACHE, PAGE),
        _row("uvicorn", "lower case, head and body apart", requests.CURL, responses.UVICORN, ITEM),
        _row("no-date", "uvicorn --no-date-header", requests.CURL, responses.UVICORN_NO_DATE, ITEM),
        _row("gunicorn", "gunicorn sync, closes", requests.CURL, responses.GUNICORN_SYNC, ITEM),
        _row("django", "Chrome; Django on gunicorn", requests.CHROME, responses.DJANGO, PAGE),
        _row("runserver", "Django's runserver, five segments", requests.CHROME, responses.RUNSERVER, PAGE),
        _row("http-server", "python -m http.server, HTTP/1.0", requests.CURL, responses.HTTP_SERVER, PAGE),
        _row("until-close", "PHP's own server, no length", requests.CURL, responses.UNTIL_CLOSE, PAGE),
        _row("go", "Go", requests.CURL, responses.GO, ITEM),
        _row("tomcat", "curl; Spring Boot on Tomcat", requests.CURL, responses.TOMCAT, ITEM),
        _row("iis", "curl; ASP.NET on IIS", requests.CURL, responses.IIS, PAGE),
        _row("kestrel", "curl; ASP.NET Core", requests.CURL, responses.KESTREL, ITEM),
        _row("apache", "curl; Apache", requests.CURL, responses.APACHE, PAGE),
        _row("puma", "curl; Rails on Puma", requests.CURL, responses.PUMA, ITEM),
    )
)
"""All shapes by name; where the client is not named, it is curl or sends two fields."""
for _upstream in ("ipv6", "unix"):
    SHAPES[_upstream] = replace(SHAPES["plain"], name=_upstream, sender="plain", upstream=_upstream)
