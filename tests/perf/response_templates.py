"""What servers answer, as templates: the response side of the shapes, named after the server.

A server that writes its head and its body one after the other has a piece for each.
"""

from __future__ import annotations

from tests.perf.messages import Pieces, chunk, head, message

PAGE = b"<!doctype html><title>Item @n@</title><p>" + b"All that can be said of it. " * 8
ITEM = b'{"id":"@x@","stock":@n@}'
ROWS = tuple(b'{"row":%d,"id":"@x@","text":"%b"}\n' % (row, b"x" * 200) for row in range(4))
"""What a server streams, a chunk each."""
MOVED = b"<html>\r\n<head><title>302 Found</title></head>\r\n</html>\r\n"
_DATE = "Date: Mon, 30 Nov 2026 08:49:37 GMT"
_LOWER_DATE = "date: Mon, 30 Nov 2026 08:49:37 GMT"
_HTML = "Content-Type: text/html; charset=utf-8"
_JSON = "Content-Type: application/json"
_LENGTH = "Content-Length: @length@"
_ID = "X-Request-Id: @x@"
_OK = "HTTP/1.1 200 OK"
_CHUNKED = "Transfer-Encoding: chunked"


def _apart(whole: bytes) -> Pieces:
    """Return the head and the body of a message as two pieces."""
    before, end, body = whole.partition(b"\r\n\r\n")
    return before + end, body


FIVE_FIELDS: Pieces = (
    message(_OK, "Server: nginx/1.22.1", _DATE, "Content-Type: text/plain", _LENGTH, _ID, body=b" !"),
)
NGINX: Pieces = (
    message(
        _OK,
        "Server: nginx/1.22.1",
        _DATE,
        "Content-Type: text/html",
        _LENGTH,
        "Last-Modified: Sat, 28 Nov 2026 10:00:00 GMT",
        "Connection: keep-alive",
        'ETag: "@x@"',
        "Accept-Ranges: bytes",
        body=PAGE,
    ),
)
SITE: Pieces = (
    message(
        _OK,
        "Server: nginx",
        _DATE,
        _HTML,
        _LENGTH,
        "Connection: keep-alive",
        "Vary: Accept-Encoding",
        "Cache-Control: private, no-cache",
        'ETag: "@x@"',
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: SAMEORIGIN",
        "Strict-Transport-Security: max-age=31536000",
        "Set-Cookie: seen=@n@; Path=/; HttpOnly; SameSite=Lax",
        body=PAGE,
    ),
)
NGINX_CHUNKED: Pieces = (
    head(
        _OK,
        "Server: nginx",
        _DATE,
        _HTML,
        _CHUNKED,
        "Connection: keep-alive",
        "X-Powered-By: PHP/8.2.29",
        _ID,
    )
    + chunk(PAGE)
    + chunk(b""),
)
NOT_MODIFIED: Pieces = (
    head(
        "HTTP/1.1 304 Not Modified",
        "Server: nginx/1.22.1",
        _DATE,
        "Last-Modified: Sat, 28 Nov 2026 10:00:00 GMT",
        "Connection: keep-alive",
        'ETag: "@x@"',
    ),
)
REDIRECT: Pieces = (
    message(
        "HTTP/1.1 302 Found",
        "Server: nginx",
        _DATE,
        "Content-Type: text/html",
        _LENGTH,
        "Connection: keep-alive",
        "Location: http://shop.example/items/@n@?from=@x@",
        body=MOVED,
    ),
)
HEAD_NGINX: Pieces = (NGINX[0].partition(b"\r\n\r\n")[0] + b"\r\n\r\n",)

_EXPRESS = (
    "X-Powered-By: Express",
    'ETag: W/"28-@x@"',
    _DATE,
    "Connection: keep-alive",
    "Keep-Alive: timeout=5",
)
NODE: Pieces = (
    message(
        _OK, _EXPRESS[0], "Content-Type: application/json; charset=utf-8", _LENGTH, *_EXPRESS[1:], body=ITEM
    ),
)
NODE_CHUNKED: Pieces = (
    head(
        _OK, "X-Powered-By: Express", _ID, _DATE, "Connection: keep-alive", "Keep-Alive: timeout=5", _CHUNKED
    )
    + chunk(ROWS[0]),
    *(chunk(row) for row in (*ROWS[1:], b"")),
)
NO_CONTENT: Pieces = (head("HTTP/1.1 204 No Content", *_EXPRESS),)
CORS: Pieces = (
    head(
        "HTTP/1.1 204 No Content",
        "X-Powered-By: Express",
        "Access-Control-Allow-Origin: http://shop@n@.example",
        "Vary: Origin, Access-Control-Request-Headers",
        "Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE",
        "Access-Control-Allow-Headers: authorization,content-type,x-@x@",
        "Content-Length: 0",
        _DATE,
        "Connection: keep-alive",
        "Keep-Alive: timeout=5",
    ),
)

UVICORN = _apart(
    message(
        _OK,
        _LOWER_DATE,
        "server: uvicorn",
        "content-length: @length@",
        "content-type: application/json",
        "x-request-id: @x@",
        body=ITEM,
    )
)
UVICORN_NO_DATE = _apart(
    message(_OK, "content-length: @length@", "content-type: application/json", "x-request-id: @x@", body=ITEM)
)
UVICORN_CHUNKED: Pieces = (
    head(
        _OK,
        _LOWER_DATE,
        "server: uvicorn",
        "content-type: text/event-stream; charset=utf-8",
        "x-request-id: @x@",
        "Transfer-Encoding: chunked",
    ),
    *(chunk(row) for row in (*ROWS, b"")),
)
_GUNICORN = ("Server: gunicorn", _DATE)
GUNICORN_SYNC = _apart(message(_OK, *_GUNICORN, "Connection: close", _JSON, _LENGTH, _ID, body=ITEM))
GUNICORN_CHUNKED: Pieces = (
    head(_OK, *_GUNICORN, "Connection: keep-alive", _CHUNKED, _HTML, _ID),
    chunk(PAGE[:100]),
    chunk(PAGE[100:]),
    chunk(b""),
)
_DJANGO = (
    "X-Frame-Options: DENY",
    "Vary: Cookie",
    _LENGTH,
    "X-Content-Type-Options: nosniff",
    "Referrer-Policy: same-origin",
    "Cross-Origin-Opener-Policy: same-origin",
    "Set-Cookie: csrftoken=@x@@x@; expires=Mon, 29 Nov 2027 08:49:37 GMT; Path=/; SameSite=Lax",
)
DJANGO = _apart(message(_OK, *_GUNICORN, "Connection: keep-alive", _HTML, *_DJANGO, body=PAGE))
_RUNSERVER = _apart(message(_HTML, *_DJANGO, body=PAGE))
RUNSERVER: Pieces = (
    b"HTTP/1.1 200 OK\r\n",
    f"{_DATE}\r\n".encode(),
    b"Server: WSGIServer/0.2 CPython/3.11.7\r\n",
    *_RUNSERVER,
)
"""wsgiref, below Django's development server, writes each of these by itself."""
HTTP_SERVER = _apart(
    message(
        "HTTP/1.0 200 OK",
        "Server: SimpleHTTP/0.6 Python/3.11.7",
        _DATE,
        "Content-type: text/html",
        _LENGTH,
        "X-Request-Id: @x@",
        "Connection: close",
        body=PAGE,
    )
)
UNTIL_CLOSE: Pieces = (
    head(
        _OK,
        _DATE,
        "Connection: close",
        "X-Powered-By: PHP/8.2.29",
        "Content-type: text/html; charset=UTF-8",
        _ID,
    ),
    PAGE,
)
"""PHP's development server: the end of the connection ends the body."""

GO: Pieces = (message(_OK, _JSON, _ID, _DATE, _LENGTH, body=ITEM),)
GO_CHUNKED: Pieces = (
    head(_OK, "Content-Type: application/x-ndjson", _ID, _DATE, _CHUNKED) + chunk(ROWS[0]),
    *(chunk(row) for row in ROWS[1:]),
    chunk(b""),
)
TOMCAT: Pieces = (
    head(
        "HTTP/1.1 200 ",
        _ID,
        _JSON,
        _CHUNKED,
        _DATE,
        "Keep-Alive: timeout=60",
        "Connection: keep-alive",
    )
    + chunk(ITEM)
    + chunk(b""),
)
"""Spring Boot; Tomcat sends no reason phrase."""
NETTY: Pieces = (message(_OK, _JSON, "content-length: @length@", _ID, body=ITEM),)
IIS: Pieces = (
    message(
        _OK,
        "Cache-Control: private",
        _HTML,
        "Server: Microsoft-IIS/10.0",
        "X-AspNet-Version: 4.0.30319",
        "X-Powered-By: ASP.NET",
        _ID,
        _DATE,
        _LENGTH,
        body=PAGE,
    ),
)
KESTREL: Pieces = (
    head(_OK, "Content-Type: application/json; charset=utf-8", _DATE, "Server: Kestrel", _CHUNKED, _ID)
    + chunk(ITEM)
    + chunk(b""),
)
APACHE: Pieces = (
    message(
        _OK,
        _DATE,
        "Server: Apache/2.4.65 (Debian)",
        'ETag: "@x@"',
        "Vary: Accept-Encoding",
        _LENGTH,
        "Keep-Alive: timeout=5, max=100",
        "Connection: Keep-Alive",
        "Content-Type: text/html; charset=UTF-8",
        body=PAGE,
    ),
)
PUMA: Pieces = (
    message(
        _OK,
        "x-frame-options: SAMEORIGIN",
        "x-xss-protection: 0",
        "x-content-type-options: nosniff",
        "x-permitted-cross-domain-policies: none",
        "referrer-policy: strict-origin-when-cross-origin",
        "content-type: application/json; charset=utf-8",
        "vary: Accept",
        'etag: W/"@x@"',
        "cache-control: max-age=0, private, must-revalidate",
        "x-request-id: @x@",
        "x-runtime: 0.@n@",
        "content-length: @length@",
        body=ITEM,
    ),
)
ENVOY: Pieces = (
    message(
        _OK,
        "content-type: application/json",
        "content-length: @length@",
        _LOWER_DATE,
        "server: envoy",
        "x-envoy-upstream-service-time: 3",
        "x-request-id: @x@",
        body=ITEM,
    ),
)
