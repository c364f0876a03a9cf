"""Know after how many idle seconds servers close a connection, and balancers drop one.

The times are defaults, or those that a product is shipped with, from its documents or its source.
"""

import math
from dataclasses import dataclass

BACKEND_IDLE_S = {
    "gunicorn": 2.0,
    "apache": 5.0,
    "hypercorn": 5.0,
    "node": 5.0,
    "uvicorn": 5.0,
    "puma": 20.0,
    "tomcat": 20.0,
    "jetty": 30.0,
    "alb": 60.0,
    "nginx": 75.0,
    "kestrel": 130.0,
    "envoy": 3600.0,
}
"""After how many idle seconds servers close a connection by default, or as they are shipped."""

MARGIN_S = 0.5
"""How much sooner than its server a proxy closes: for the way to it and back, and for busy machines."""


def safe_idle_s(limit_s: float, spread_s: float = 0.0) -> float:
    """Return how long a proxy may keep a connection that its server closes after `limit_s` idle seconds.

    Below a second it is half of that. Where single connections differed by `spread_s`, others may end as much
    earlier. The result is in whole seconds from 1 on, else in milliseconds, and 0 where nothing is left.
    """
    safe_s = limit_s - max(min(MARGIN_S, limit_s / 2), spread_s)
    if safe_s >= 1:
        return float(math.floor(safe_s))
    return max(0.0, math.floor(safe_s * 1000) / 1000)


def format_time(seconds: float) -> str:
    """Return a time as nginx, HAProxy and Caddy read it: `4s`, `500ms`."""
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{seconds * 1000:.0f}ms"


@dataclass(frozen=True, slots=True)
class IdleLimit:
    """After how many idle seconds the servers of an upstream {} close a connection."""

    idle_s: float
    """At the earliest, as far as it is known."""
    spread_s: float = 0.0
    """By how much single connections differed."""
    shown: str = ""
    """What was measured, and how: `4.98..5.02 s (measured by a probe of 10.0.0.1:80)`; empty: assumed."""

    def __str__(self) -> str:
        return self.shown or f"{self.idle_s:g} s"

    @property
    def safe_s(self) -> float:
        """How long nginx may keep an idle connection; 0 where there is no such time."""
        return safe_idle_s(self.idle_s, self.spread_s)

    def allows(self, idle_s: float | None) -> bool:
        """Return whether nginx closes first if it keeps idle connections for so long (None: for ever)."""
        if idle_s is None:
            return False
        return idle_s < self.idle_s - self.spread_s or 0 < idle_s <= self.safe_s


@dataclass(frozen=True, slots=True)
class Front:
    """What stands between clients and nginx, and how long it keeps an idle connection."""

    idle_s: float
    passes_through: bool = False
    """It forwards the clients' own TCP connections and forgets those that idle for longer."""
    kind: str = ""
    """What it is; empty where only its time is given."""


_PROXIES_S = {
    "alb": 60.0,  # Amazon, "Application Load Balancers", connection idle timeout
    "caddy": 120.0,  # reverse_proxy, transport http: keepalive
    "clb": 60.0,  # Amazon, "Classic Load Balancers", idle timeout
    "cloudflare": 900.0,  # "Connection limits", proxy idle timeout towards the origin
    "cloudfront": 5.0,  # Amazon, origin keep-alive timeout
    "envoy": 3600.0,  # HttpProtocolOptions: idle_timeout
    "gclb": 600.0,  # Google, "External Application Load Balancer", backend keepalive timeout
    "gorouter": 90.0,  # Cloud Foundry, "Gorouter back-end keep-alive connections"
    "heroku": 90.0,  # "HTTP Routing", Router 2.0
    "nginx": 60.0,  # upstream {}: keepalive_timeout
    "oci": 300.0,  # Oracle, "Load Balancer Timeout Connection Settings"
    "traefik": 90.0,  # serversTransport: idleConnTimeout
    "varnish": 60.0,  # backend_idle_timeout
}
_FORWARDERS_S = {
    "azure": 240.0,  # Microsoft, "Load Balancer TCP Reset and Idle Timeout"
    "nlb": 350.0,  # Amazon, "Network Load Balancers", TCP idle timeout
}
FRONTS = {kind: Front(idle_s, False, kind) for kind, idle_s in _PROXIES_S.items()} | {
    kind: Front(idle_s, True, kind) for kind, idle_s in _FORWARDERS_S.items()
}
"""What is often in front of nginx, with the idle time that it is shipped with."""
