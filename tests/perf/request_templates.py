"""What clients send, as templates: the request side of the shapes, named after the client."""

from __future__ import annotations

from tests.perf.messages import Pieces, chunk, head, message

ORDER = b'{"items":["' + b"x" * 997 + b'"],"n":"@n@"}'
"""Filled in, it is of 1 KiB."""
DOCUMENT = b"x" * 16_378 + b"@n@"
"""Filled in, it is of 16 KiB."""
_HOST = "Host: shop@d@.example"
_ID = "X-Request-Id: @x@"

TWO_FIELDS: Pieces = (head("GET /items/@n@ HTTP/1.1", _HOST, _ID),)
CURL: Pieces = (head("GET /items/@n@?v=@x@ HTTP/1.1", _HOST, "User-Agent: curl/8.1@d@.1", "Accept: */*"),)
CURL_HEAD: Pieces = (
    head("HEAD /items/@n@?v=@x@ HTTP/1.1", _HOST, "User-Agent: curl/8.1@d@.1", "Accept: */*"),
)
CURL_DELETE: Pieces = (
    head("DELETE /items/@n@ HTTP/1.1", _HOST, "User-Agent: curl/8.1@d@.1", "Accept: */*", _ID),
)
CLOSING: Pieces = (
    head("GET /items/@n@ HTTP/1.1", _HOST, "User-Agent: probe/2.1 (@x@)", _ID, "Connection: close"),
)
AB: Pieces = (
    head(
        "GET /items/@n@ HTTP/1.0",
        "Connection: Keep-Alive",
        _HOST,
        "User-Agent: ApacheBench/2.3",
        "Accept: */*",
        _ID,
    ),
)
"""ApacheBench with `-k`, and with `-H` for the identity."""

CHROME_LINES = (
    _HOST,
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
CHROME: Pieces = (head("GET /items/@n@?page=2&sort=price HTTP/1.1", *CHROME_LINES),)
CHROME_AGAIN: Pieces = (head("GET /static/@n@.js HTTP/1.1", *CHROME_LINES, 'If-None-Match: "@x@"'),)
CHROME_FORM: Pieces = (
    message(
        "POST /login/@n@ HTTP/1.1",
        *CHROME_LINES[:2],
        "Content-Length: @length@",
        *CHROME_LINES[2:],
        "Origin: http://shop.example",
        "Content-Type: application/x-www-form-urlencoded",
        "Referer: http://shop.example/login/@n@",
        body=b"user=u@n@&token=@x@&remember=on&next=%2Forders",
    ),
)
FIREFOX: Pieces = (
    head(
        "GET /items/@n@ HTTP/1.1",
        _HOST,
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Accept-Language: en-GB,en;q=0.5",
        "Accept-Encoding: gzip, deflate",
        "Referer: http://shop.example/list/@n@",
        "Connection: keep-alive",
        "Cookie: session=@x@; _ga=GA1.1.1234567890.1764492577; consent=all; cart=@n@",
        "Upgrade-Insecure-Requests: 1",
        "Priority: u=0, i",
    ),
)
FETCH: Pieces = (
    head(
        "GET /api/items/@n@ HTTP/1.1",
        _HOST,
        "Connection: keep-alive",
        'sec-ch-ua-platform: "macOS"',
        "Authorization: Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9."
        + "eyJzdWIiOiIx" * 30
        + ".@x@"
        + "Qk1f" * 80,
        "User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/142.0.@n@.0 Safari/537.36",
        "Accept: application/json, text/plain, */*",
        "sec-ch-ua-mobile: ?0",
        "Origin: http://shop.example",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Mode: cors",
        "Sec-Fetch-Dest: empty",
        "Referer: http://shop.example/",
        "Accept-Encoding: gzip, deflate, br",
        "Accept-Language: en-GB,en;q=0.9",
    ),
)
PREFLIGHT: Pieces = (
    head(
        "OPTIONS /api/items/@n@ HTTP/1.1",
        _HOST,
        "Connection: keep-alive",
        "Accept: */*",
        "Access-Control-Request-Method: PUT",
        "Access-Control-Request-Headers: authorization,content-type,x-@x@",
        "Origin: http://shop@n@.example",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/142.0.0.0 Safari/537.36",
        "Sec-Fetch-Mode: cors",
        "Accept-Encoding: gzip, deflate, br",
    ),
)
JAVA: Pieces = (
    head(
        "GET /items/@n@ HTTP/1.1",
        "Connection: Upgrade, HTTP2-Settings",
        "Content-Length: 0",
        _HOST,
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
        "Upgrade: h2c",
        "User-Agent: Java-http-client/21.0.5",
        _ID,
    ),
)
"""The JDK's own client offers HTTP/2 with each request over plain TCP."""
GATEWAY: Pieces = (
    head(
        "GET /items/@n@ HTTP/1.1",
        "host: shop@d@.example",
        "user-agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
        "like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
        "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "accept-language: en-GB,en;q=0.9",
        "accept-encoding: gzip, br",
        "cookie: session=@x@",
        "x-forwarded-for: 203.0.113.7, 198.51.100.23",
        "x-forwarded-proto: https",
        "x-envoy-external-address: 203.0.113.7",
        "x-request-id: @x@",
        "x-envoy-expected-rq-timeout-ms: 15000",
    ),
)
"""A gateway that speaks HTTP/2 outside, and so writes all names in lower case."""
CDN: Pieces = (
    head(
        "GET /items/@n@ HTTP/1.1",
        _HOST,
        "Connection: Keep-Alive",
        "Accept-Encoding: gzip, br",
        "X-Forwarded-For: 203.0.113.7",
        "CF-RAY: @x@-FRA",
        "X-Forwarded-Proto: https",
        'CF-Visitor: {"scheme":"https"}',
        "Via: 1.1 edge-@n@",
        "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/142.0.0.0 Safari/537.36 Edg/142.0.@n@.0",
        "Accept: image/avif,image/webp,*/*;q=0.8",
        "CF-Connecting-IP: 203.0.113.7",
        "CDN-Loop: cloudflare; loops=1",
        "CF-IPCountry: DE",
    ),
)

API_LINES = (
    _HOST,
    "User-Agent: python-requests/2.32.3",
    "Accept-Encoding: gzip, deflate",
    "Accept: */*",
    "Connection: keep-alive",
    _ID,
    "Content-Type: application/json",
)
POST_HEAD = message("POST /orders/@n@ HTTP/1.1", *API_LINES, "Content-Length: 1024")
POST: Pieces = (POST_HEAD + ORDER,)
POST_LATE: Pieces = (POST_HEAD, ORDER)
POST_CHUNKED: Pieces = (
    head("POST /orders/@n@ HTTP/1.1", *API_LINES, "Transfer-Encoding: chunked")
    + chunk(ORDER[:512])
    + chunk(ORDER[512:])
    + chunk(b""),
)
POST_GO: Pieces = (
    head(
        "POST /orders/@n@ HTTP/1.1",
        _HOST,
        "User-Agent: Go-http-client/1.1",
        "Transfer-Encoding: chunked",
        "Content-Type: application/json",
        _ID,
        "Accept-Encoding: gzip",
    )
    + chunk(ORDER),
    chunk(b""),
)
"""Go sends a body of unknown length as chunks, and the last one once the body has ended."""
PUT: Pieces = (
    message(
        "PUT /documents/@n@ HTTP/1.1",
        _HOST,
        "accept: application/json, text/plain, */*",
        "content-type: application/octet-stream",
        "user-agent: axios/1.12.2",
        "content-length: @length@",
        "accept-encoding: gzip, compress, deflate, br",
        "x-request-id: @x@",
        "Connection: keep-alive",
        body=DOCUMENT,
    ),
)
