"""The claims of an article on long-lived connections, in our words and in its order. Data."""

from collections.abc import Collection
from dataclasses import replace

from bench.tour import judges
from bench.tour.evidence import ClaimFigure, ClaimVerdict, Ruling
from bench.tour.ruling import ArticleClaim, Document
from bench.tour.steps import INCIDENT, SNIPPET

_DIRECT_REQUESTS = ClaimFigure("requests for each message", "figures.requests_per_delivery", "ratio")
_DELAY = ClaimFigure("delay of a message, median, ms", "times_ms.delay.p50", "ms")
_DELAY_IF_COUNTED = replace(_DELAY, is_needed=False)
_BYTES = ClaimFigure("bytes for each message", "bytes_per_unit.front", "B")
_OPENED = ClaimFigure("upstream connections opened", "upstream.connections_opened")
_REQUESTS = ClaimFigure("requests served", "upstream.requests_total")

_PUSH = Ruling(
    ClaimVerdict.FALSE,
    "It puts resources of a page into the cache of a browser that asked for the page; no message reaches an"
    " application. RFC 9113 keeps it, and calls it difficult to use. Chrome 106 and Firefox 132 switched it"
    " off, nginx 1.25.1 removed it. Messages go by server-sent events or a WebSocket.",
)
_PERSISTENCE = Ruling(
    ClaimVerdict.TRUE,
    "An HTTP/1.1 connection persists unless a side says `Connection: close`; an HTTP/1.0 one closes unless"
    " both say `keep-alive`. Before 1.29.7 nginx speaks HTTP/1.0 to its servers by default.",
)

_PROTOCOL = (
    "Connections and bytes are of the protocol, whatever library speaks it. The fields of these requests"
    " repeat, which is what HTTP/2 compresses."
)
_LIBRARIES = (
    "The wait beside a slow response is of the protocol: HTTP/1.1 answers in order on a connection. The CPU,"
    " and the median with it, hold the libraries: HTTP/2 is python-h2 here, written in Python, HTTP/1.1 is"
    " httptools, written in C. No figure here tells the two protocols' own cost."
)

CLAIMS = (
    ArticleClaim(
        "time-wait",
        INCIDENT,
        "Short connections to the upstream pile up TIME_WAIT",
        "A proxy that opens a connection to its server for each request, and closes it, fills up with sockets"
        " in TIME_WAIT.",
        ("short", "keepalive"),
        {
            "requests": _REQUESTS,
            "opened": _OPENED,
            "time_wait": ClaimFigure("TIME_WAIT on the proxy's host, the most", "time_wait.proxy.peak"),
        },
        judges.judge_time_wait,
        pictures=("TIME_WAIT", "Upstream connections"),
    ),
    ArticleClaim(
        "cliff",
        INCIDENT,
        "TIME_WAIT caps the throughput, whatever the hardware",
        "Once TIME_WAIT has piled up the throughput does not rise, and more hardware does not lift it.",
        ("short",),
        {
            "ports": ClaimFigure("ports to use", "ports.tuples"),
            "used": ClaimFigure("ports in use, the most", "ports.used_peak"),
            "before": ClaimFigure(
                "requests/s before half of them were in use",
                "ports.rate_before",
                "1/s",
                absent="half of the ports were never in use (on loopback they are free after a second)",
            ),
            "after": ClaimFigure(
                "requests/s after that",
                "ports.rate_after",
                "1/s",
                absent="half of the ports were never in use (on loopback they are free after a second)",
            ),
            "moment": ClaimFigure("seconds until then", "ports.half_range_passed_s", "s", is_needed=False),
        },
        judges.judge_cliff,
        pictures=("Throughput",),
    ),
    ArticleClaim(
        "keepalive",
        INCIDENT,
        "Keep-alive upstream connections end the trouble at once",
        "Keeping the connections between proxy and server ends the trouble at once: more requests are served,"
        " at less cost.",
        ("short", "keepalive"),
        {
            "requests": _REQUESTS,
            "opened": _OPENED,
            "rate": ClaimFigure(
                "requests/s, while half of the ports were free",
                "ports.rate_before",
                "1/s",
                instead="requests_per_s",
                is_needed=False,
            ),
            "cpu": ClaimFigure(
                "CPU of the proxy, µs/request, while half of the ports were free",
                "cpu_us_per_request_before_cliff.proxy",
                "us",
            ),
        },
        judges.judge_keepalive,
        pictures=("Requests", "CPU of the proxy"),
    ),
    ArticleClaim(
        "http10",
        INCIDENT,
        "HTTP/1.1 keeps connections by default, HTTP/1.0 must ask",
        "HTTP/1.0 closes after each response unless it is asked for keep-alive, HTTP/1.1 has it unless it is"
        " told `Connection: close`.",
        documented=_PERSISTENCE,
        documents=(
            Document("RFC 9112, section 9.3", "https://www.rfc-editor.org/rfc/rfc9112#section-9.3"),
            Document("nginx 1.29.7", "https://nginx.org/en/CHANGES"),
        ),
    ),
    ArticleClaim(
        "snippet",
        SNIPPET,
        "Four lines of nginx.conf switch upstream keep-alive on",
        "`keepalive_requests`, `keepalive_timeout`, `proxy_http_version 1.1` and an empty `Connection` make"
        " nginx keep its connections to the servers.",
        figures={
            "per_connection": ClaimFigure(
                "requests on each connection to the server", "upstream.requests_per_connection", "ratio"
            ),
        },
        judge=judges.judge_snippet,
        pictures=("The backend closes at once",),
        documents=(Document("nginx 1.29.7", "https://nginx.org/en/CHANGES"),),
    ),
    ArticleClaim(
        "polling",
        "push",
        "Polling wastes requests, and learns late",
        "A client that asks every so often mostly asks in vain, and learns of a message when it asks next.",
        ("short-poll-new", "long-poll", "sse", "websocket"),
        {"requests": _DIRECT_REQUESTS, "delay": _DELAY_IF_COUNTED},
        judges.judge_polling,
        pictures=("Delay from publishing to delivery", "Requests"),
    ),
    ArticleClaim(
        "long-poll",
        "push",
        "Long polling wastes fewer requests, and learns at once",
        "A server that holds the request until there is something spares most of the requests, and most of"
        " the delay.",
        ("short-poll-new", "long-poll"),
        {"requests": _DIRECT_REQUESTS, "delay": _DELAY_IF_COUNTED},
        judges.judge_long_poll,
        pictures=("Requests", "CPU of the server"),
    ),
    ArticleClaim(
        "websocket",
        "push",
        "A WebSocket brings messages without a request for each",
        "A WebSocket is one long connection in both directions: the server sends whenever it has something.",
        ("long-poll", "websocket"),
        {"requests": _DIRECT_REQUESTS, "bytes": _BYTES},
        judges.judge_websocket,
        pictures=("Requests", "Connections"),
    ),
    ArticleClaim(
        "streaming",
        "stream",
        "Server-sent events show an answer token by token",
        "With server-sent events the reader of a chat's answer sees each token as it comes.",
        ("sse", "http10", "http11-gzip"),
        {
            "first": ClaimFigure("first token after, median, ms", "times_ms.first.p50", "ms"),
            "held": ClaimFigure(
                "longest that a token was held back, ms", "times_ms.held.max", "ms", is_needed=False
            ),
            "lost": ClaimFigure("tokens lost", "figures.lost", is_needed=False),
        },
        judges.judge_streaming,
        pictures=("One answer, as its reader sees it",),
    ),
    ArticleClaim(
        "chat",
        "chat",
        "A WebSocket stays open, and a chat needs nothing else",
        "A chat with a room for each customer opens a WebSocket, and that stays.",
        ("ours", "restart"),
        {
            "dropped": ClaimFigure("connections dropped", "figures.dropped"),
            "lost": ClaimFigure("messages lost", "figures.lost"),
            "back": ClaimFigure(
                "all back in their rooms after, s", "figures.all_back_s", "ratio", is_needed=False
            ),
        },
        judges.judge_chat,
        pictures=("Members in their rooms",),
    ),
    ArticleClaim(
        "http2",
        "http2",
        "HTTP/2 needs one connection, and sends small headers",
        "HTTP/2 carries all requests on one connection, and compresses their headers.",
        ("keep-alive", "h2", "keep-alive, nginx", "h2, nginx"),
        {
            "connections": ClaimFigure("connections at the server", "figures.server_connections"),
            "sent": ClaimFigure("bytes sent for each request", "figures.sent_bytes", "B"),
        },
        judges.judge_multiplexing,
        pictures=("Connections", "Request bytes"),
        reservation=_PROTOCOL,
    ),
    ArticleClaim(
        "http2-speed",
        "http2",
        "HTTP/2 is faster than HTTP/1.1",
        "Since no request waits for another, HTTP/2 is faster than HTTP/1.1.",
        ("keep-alive", "one", "h2", "keep-alive, nginx", "one, nginx", "h2, nginx"),
        {
            "latency": ClaimFigure(
                "a response after, median, ms", "times_ms.latency.p50", "ms", is_needed=False
            ),
            "waiting": ClaimFigure(
                "beside a slow response: p99, ms",
                "times_ms.during_slow.p99",
                "ms",
                only=("one", "h2", "one, nginx", "h2, nginx"),
                is_needed=False,
            ),
            "cpu": ClaimFigure(
                "CPU of the server and its library, µs/request",
                "cpu_us_per_unit.backend",
                "us",
                is_needed=False,
            ),
        },
        judges.judge_http2_speed,
        pictures=("Beside a slow response",),
        is_of_times=True,
        reservation=_LIBRARIES,
    ),
    ArticleClaim(
        "http2-push",
        "http2",
        "HTTP/2 lets a server push messages to its clients",
        "With the server push of HTTP/2 a server sends on its own, as over a WebSocket.",
        documented=_PUSH,
        documents=(
            Document("RFC 9113, section 8.4", "https://www.rfc-editor.org/rfc/rfc9113#section-8.4"),
            Document("Chrome 106", "https://developer.chrome.com/blog/removing-push"),
            Document("Firefox 132", "https://developer.mozilla.org/docs/Mozilla/Firefox/Releases/132"),
            Document("nginx 1.25.1", "https://nginx.org/en/CHANGES"),
        ),
    ),
    ArticleClaim(
        "tls",
        "tls",
        "TLS is cheaper on resumed connections, and more so on kept",
        "Resuming a TLS session saves a part of the handshake, and keeping the connection saves all of it.",
        ("tls13-new", "tls13-resumed", "tls13-kept"),
        {
            "proxy": ClaimFigure("CPU of the proxy, µs/request", "cpu_us_per_unit.proxy", "us"),
            "server": ClaimFigure("CPU of the server, µs/request", "cpu_us_per_unit.backend", "us"),
            "full": ClaimFigure("full handshakes", "figures.full", is_needed=False),
            "resumed": ClaimFigure("resumed sessions", "figures.resumed", is_needed=False),
        },
        judges.judge_tls,
        pictures=("CPU of the proxy", "CPU of the server"),
    ),
    ArticleClaim(
        "migration",
        "migration",
        "QUIC survives a change of network, and TCP breaks",
        "A QUIC connection has an id of its own, and goes on when the client's address changes; a TCP"
        " connection breaks.",
        ("quic-probe", "quic", "sse", "sse-timeout"),
        {
            "survived": ClaimFigure("all tokens arrived", "figures.survived", is_yes_or_no=True),
            "lost": ClaimFigure("tokens lost", "figures.lost"),
            "connections": ClaimFigure("connections used", "figures.connections"),
            "silence": ClaimFigure("longest silence, ms", "figures.silence_ms", "ms", is_needed=False),
        },
        judges.judge_migration,
        pictures=("Tokens that have arrived",),
    ),
    ArticleClaim(
        "registry",
        "registry",
        "Nacos 2: a registry carries more by long connections",
        "As Nacos moved from short HTTP requests to one long connection for each client, its registry"
        " carried a multiple.",
        ("http-short", "http-kept", "stream"),
        {
            "cpu": ClaimFigure("CPU of the registry, µs/beat", "cpu_us_per_unit.backend", "us"),
            "opened": ClaimFigure("connections opened", "hops.front.opened", is_needed=False),
            "seen": ClaimFigure(
                "a death is seen after, median, ms", "times_ms.death_seen.p50", "ms", is_needed=False
            ),
        },
        judges.judge_registry,
        pictures=("CPU of the registry", "A death is seen"),
        model_of="Nacos",
    ),
    ArticleClaim(
        "broker",
        "broker",
        "RocketMQ: long polling is as timely as pushing",
        "Consumers that pull by long polling have a message as soon as if it were pushed to them.",
        ("short-poll", "long-poll", "push"),
        {
            "delay": _DELAY,
            "empty": ClaimFigure("empty pulls for each message", "figures.empty_per_message", "ratio"),
            "cpu": ClaimFigure("CPU of the broker, µs/message", "cpu_us_per_unit.backend", "us"),
        },
        judges.judge_broker,
        pictures=("Delay from the producer to the consumer", "Empty pulls"),
        model_of="RocketMQ",
    ),
    ArticleClaim(
        "rpc",
        "rpc",
        "Dubbo: one shared connection does for all calls",
        "A consumer and a provider need one long connection that carries all calls at once, and not many.",
        ("short", "pool", "multiplexed", "pool-slow", "multiplexed-slow"),
        {
            "cpu": ClaimFigure(
                "CPU of the provider, µs/call",
                "cpu_us_per_unit.backend",
                "us",
                only=("short", "pool", "multiplexed"),
            ),
            "opened": ClaimFigure(
                "connections opened",
                "hops.front.opened",
                instead="hops.front.accepted",
                only=("short", "pool", "multiplexed"),
            ),
            "small": ClaimFigure(
                "calls beside slow ones: p99, ms",
                "times_ms.small.p99",
                "ms",
                only=("pool-slow", "multiplexed-slow"),
                is_needed=False,
            ),
        },
        judges.judge_rpc,
        pictures=("CPU of the provider", "Small calls beside slow or large ones"),
        model_of="Dubbo",
    ),
)


def select(steps: Collection[str]) -> tuple[ArticleClaim, ...]:
    """Return the claims that belong to `steps`."""
    return tuple(claim for claim in CLAIMS if claim.step in steps)
