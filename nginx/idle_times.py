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


FRONTS = {
    kind: Front(idle_s, passes_through, kind)
    for kind, idle_s, passes_through in (
        ("alb", 60.0, False),
        ("clb", 60.0, False),
        ("gorouter", 90.0, False),
        ("gclb", 600.0, False),
        ("nlb", 350.0, True),
        ("azure", 240.0, True),
    )
}
"""What is often in front of nginx, with the idle time that it is shipped with."""
