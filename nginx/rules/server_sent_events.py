"""Rules about server-sent events: what delays them in nginx, and what cuts a silent stream.

`bench scenario run stream` measures each of them.
"""

import re
from collections.abc import Iterator

from nginx.finding import Severity
from nginx.model import PassLocation
from nginx.rules.rule import KEPT, POOL, Hit, Rule, RuleContext
from nginx.tree import Directive

_EVENTS = "text/event-stream"
_NAMED = re.compile(r"(?:^|[/_.-])(?:sse|events?|event-?stream|streams?|streaming)(?:$|[/_.-])")
"""A location with such a name is meant for streams; nothing else in a configuration shows it."""
_DEFAULT_SILENCE_S = 60.0


def _site(path: str, *lines: str) -> str:
    return f"{POOL}server {{ location {path} {{ {' '.join(lines)} }} }}"


def _buffers(each: PassLocation) -> bool:
    line = each.module_setting("buffering")
    return line is None or not line.is_off


def _means_stream(each: PassLocation) -> bool:
    """Return whether a location is meant for server-sent events: by its name, or by what it compresses."""
    level = each.level.enclosing("location")
    path = level.opener.args[-1] if level is not None and level.opener is not None else ""
    return _NAMED.search(path) is not None or _compressed(each) is not None


def _compressed(each: PassLocation) -> Directive | None:
    """Return the gzip_types that include server-sent events, where gzip is on."""
    gzip, types = each.setting("gzip"), each.setting("gzip_types")
    if gzip is None or not gzip.is_on or types is None:
        return None
    return types if {_EVENTS, "*"} & set(types.args) else None


@Rule(
    "NK056",
    Severity.MEDIUM,
    bad="server { location /events { proxy_pass http://10.0.0.1:8080; } }",
    good=_site("/events", KEPT, "proxy_buffering off;"),
)
def stream_held_in_buffers(ctx: RuleContext) -> Iterator[Hit]:
    """Server-sent events wait in nginx until a buffer is full: HTTP/1.0 upstream, and buffering is on.

    A response without a length or chunks, as HTTP/1.0 has it, is passed on buffer by buffer (4k or 8k):
    the first token of a slow stream comes seconds late. Over HTTP/1.1 each chunk is passed on as it comes,
    buffering or not; a server can also request that with `X-Accel-Buffering: no`.
    """
    for each in ctx.using_protocol("http"):
        if _means_stream(each) and _buffers(each) and each.http.possible(ctx.version) == ["1.0"]:
            text = "events wait until a buffer is full: HTTP/1.0 upstream with proxy_buffering on"
            fix = "`proxy_http_version 1.1;` with `proxy_buffering off;`"
            related = (each.http.directive,) if each.http.directive is not None else ()
            yield Hit(each.directive.place, text, fix, related=related, passes=(each,))


@Rule(
    "NK057",
    Severity.MEDIUM,
    bad=f"gzip on;\ngzip_types {_EVENTS};\n{_site('/chat/', KEPT)}",
    good=f"gzip on;\ngzip_types {_EVENTS};\n{_site('/chat/', KEPT, 'proxy_buffering off;')}",
)
def stream_held_by_gzip(ctx: RuleContext) -> Iterator[Hit]:
    """gzip compresses text/event-stream while buffering is on: events come out when its window is full.

    A short stream comes in one piece, at its end. With `proxy_buffering off` nginx flushes the compressor
    after each event; leaving the type out of gzip_types costs least.
    """
    for each in ctx.using_protocol("http"):
        types = _compressed(each)
        if types is not None and _buffers(each):
            text = f"gzip holds server-sent events back: `{types}` with proxy_buffering on"
            fix = f"leave {_EVENTS} out of gzip_types, or `proxy_buffering off;`"
            yield Hit(types.place, text, fix, related=(each.directive,), passes=(each,))


@Rule(
    "NK058",
    Severity.MEDIUM,
    bad=_site("/events", KEPT, "proxy_buffering off; proxy_read_timeout 5s;"),
    good=_site("/events", KEPT, "proxy_buffering off; proxy_read_timeout 1h;"),
)
def silence_cuts_stream(ctx: RuleContext) -> Iterator[Hit]:
    """A stream that is silent for longer than proxy_read_timeout is cut in its middle, without an error.

    The default is 60 s, which a server's heartbeat every 15 to 30 s outlives; what is shorter cuts those
    too. A client of server-sent events connects again and needs `Last-Event-ID` to lose nothing.
    """
    for each in ctx.using_protocol("http"):
        line = each.module_setting("read_timeout")
        limit_s = line.seconds if line is not None else None
        if line is not None and limit_s is not None and limit_s < _DEFAULT_SILENCE_S and _means_stream(each):
            text = f"a stream that is silent for {line.args[0]} is cut in the middle"
            fix = "`proxy_read_timeout 1h;`, or heartbeats that are more frequent"
            yield Hit(line.place, text, fix, related=(each.directive,), passes=(each,))
