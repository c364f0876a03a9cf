"""What servers answer, as templates: the response side of the shapes."""

from __future__ import annotations

from tests.perf.messages import chunk, head, message

DATE = "Date: Mon, 30 Nov 2026 08:49:37 GMT"
PAGE = b"<!doctype html><title>Item @n@</title><p>" + b"All that can be said of it. " * 8
ITEM = b'{"id":"@x@","stock":@n@}'

PLAIN = (
    message(
        "HTTP/1.1 200 OK",
        "Server: nginx/1.22.1",
        DATE,
        "Content-Type: text/plain",
        "Content-Length: @length@",
        "X-Request-Id: @x@",
        body=b" !",
    ),
)
SITE_LINES = (
    "Server: nginx",
    DATE,
    "Content-Type: text/html; charset=utf-8",
    "Connection: keep-alive",
    "Vary: Accept-Encoding",
    "Cache-Control: private, no-cache",
    'ETag: "@x@"',
    "X-Content-Type-Options: nosniff",
    "X-Frame-Options: SAMEORIGIN",
    "Strict-Transport-Security: max-age=31536000",
    "Set-Cookie: seen=@n@; Path=/; HttpOnly; SameSite=Lax",
)
SITE = (message("HTTP/1.1 200 OK", *SITE_LINES, "Content-Length: @length@", body=PAGE),)
NODE = (
    message(
        "HTTP/1.1 200 OK",
        "X-Powered-By: Express",
        "Content-Type: application/json; charset=utf-8",
        "Content-Length: @length@",
        'ETag: W/"29-@x@"',
        DATE,
        "Connection: keep-alive",
        "Keep-Alive: timeout=5",
        body=ITEM,
    ),
)
NOT_MODIFIED = (
    message(
        "HTTP/1.1 304 Not Modified", "Server: nginx/1.22.1", DATE, "Connection: keep-alive", 'ETag: "@x@"'
    ),
)
GUNICORN_CHUNKED = (
    head(
        "HTTP/1.1 200 OK",
        "Server: gunicorn",
        DATE,
        "Connection: keep-alive",
        "Transfer-Encoding: chunked",
        "Content-Type: text/html; charset=utf-8",
        "X-Request-Id: @x@",
    )
    + chunk(PAGE[:100])
    + chunk(PAGE[100:])
    + chunk(b""),
)
CREATED = (
    message(
        "HTTP/1.1 200 OK",
        "Server: nginx/1.22.1",
        DATE,
        "Content-Type: application/json",
        "Content-Length: @length@",
        "X-Request-Id: @x@",
        body=ITEM,
    ),
)
