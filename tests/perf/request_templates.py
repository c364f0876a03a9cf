"""What clients send, as templates: the request side of the shapes."""

from __future__ import annotations

from tests.perf.messages import chunk, head, message

PLAIN = (head("GET /items/@n@ HTTP/1.1", "Host: shop.example", "X-Request-Id: @x@"),)
CHROME_LINES = (
    "Host: shop.example",
    "Connection: keep-alive",
    "Cache-Control: max-age=0",
    'sec-ch-ua: "Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "Upgrade-Insecure-Requests: 1",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.@n@.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
    "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-User: ?1",
    "Sec-Fetch-Dest: document",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Cookie: session=@x@; theme=dark; consent=2026-01-31",
)
CHROME = (head("GET /items/@n@?page=2&sort=price HTTP/1.1", *CHROME_LINES),)
REVALIDATION = (head("GET /static/@n@.js HTTP/1.1", *CHROME_LINES, 'If-None-Match: "@x@"'),)

API_LINES = (
    "Host: shop.example",
    "User-Agent: python-requests/2.32.3",
    "Accept-Encoding: gzip, deflate",
    "Accept: */*",
    "Connection: keep-alive",
    "X-Request-Id: @x@",
    "Content-Type: application/json",
)
ORDER = b'{"items":["' + b"x" * 997 + b'"],"n":"@n@"}'
"""Filled in, it is of 1 KiB."""
POST_HEAD = message("POST /orders/@n@ HTTP/1.1", *API_LINES, "Content-Length: 1024")
POST = (POST_HEAD + ORDER,)
POST_LATE = (POST_HEAD, ORDER)
POST_CHUNKED = (
    head("POST /orders/@n@ HTTP/1.1", *API_LINES, "Transfer-Encoding: chunked")
    + chunk(ORDER[:512])
    + chunk(ORDER[512:])
    + chunk(b""),
)
