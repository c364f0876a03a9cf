"""How an answer is streamed: nginx's settings, what the server sends, what is requested. Pure."""

from dataclasses import dataclass, replace

from bench.experiment.definition import Variant
from nginx.render import Reuse, SiteSettings

SHORT_TIMEOUT_S = 1.0
LONG_SILENCE_S = 2.0
"""Longer than the read timeout above: the answer is silent for so long in its middle."""


@dataclass(frozen=True, slots=True)
class StreamVariant:
    """One variant, and what it sets."""

    variant: Variant
    socket: bool = False
    plain: bool = False
    """Every proxy's ordinary configuration, which was not written for streams."""
    http_version: str | None = None
    buffering: bool | None = None
    gzip: bool = False
    no_accel: bool = False
    read_timeout_s: float | None = None

    @property
    def is_nginx_only(self) -> bool:
        """Return whether it is about a setting of nginx's."""
        return self.http_version is not None

    @property
    def silence_s(self) -> float:
        """Return how long the answer is silent in its middle."""
        return 0.0 if self.read_timeout_s is None else LONG_SILENCE_S

    def applied(self, settings: SiteSettings) -> SiteSettings:
        """Return nginx's settings with those of this variant."""
        connection = "" if self.http_version == "1.1" else "close"
        return replace(
            settings,
            reuse=Reuse(self.http_version, connection, settings.reuse.keepalive),
            streams=False,
            buffering=self.buffering,
            gzip_types="text/event-stream" if self.gzip else None,
            read_timeout_s=self.read_timeout_s,
        )


VARIANTS = {
    each.variant.name: each
    for each in (
        StreamVariant(Variant("sse", "server-sent events, the proxy set up for streams")),
        StreamVariant(Variant("websocket", "the same answer by WebSocket"), socket=True),
        StreamVariant(Variant("sse-plain", "server-sent events, the proxy as for any request"), plain=True),
        StreamVariant(Variant("http10", "HTTP/1.0 upstream, buffering on (the default before 1.29.7)"),
               http_version="1.0"),
        StreamVariant(Variant("http11-gzip", "HTTP/1.1, buffering on, gzip for text/event-stream"),
               http_version="1.1", gzip=True),
        StreamVariant(Variant("read-timeout", "proxy_read_timeout 1s, and a silence of 2 s in the answer"),
               http_version="1.1", buffering=False, read_timeout_s=SHORT_TIMEOUT_S),
        StreamVariant(Variant("http10-unbuffered", "HTTP/1.0, proxy_buffering off"),
               http_version="1.0", buffering=False),
        StreamVariant(Variant("http10-accel", "HTTP/1.0, and the server sends X-Accel-Buffering: no"),
               http_version="1.0", no_accel=True),
        StreamVariant(Variant("http11", "HTTP/1.1 upstream, buffering on"), http_version="1.1"),
        StreamVariant(Variant("http11-gzip-unbuffered", "the same with proxy_buffering off"),
               http_version="1.1", gzip=True, buffering=False),
    )
}  # fmt: skip
"""The variants by name: first what works everywhere, then what delays and cuts, then what mends it."""
