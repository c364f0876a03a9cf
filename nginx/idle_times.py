"""Know after how many idle seconds servers close a connection, and balancers drop one.

The times are defaults, or those that a product is shipped with, from its documents or its source.
"""

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
