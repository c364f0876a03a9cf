"""Requests, where somebody counts them: nginx, its access log, HAProxy, Envoy.

Sockets show connections and no requests. A source that the user names counts those, and says to which hop
they belong.
"""

from bench.watch.requests.source import RequestSource
from bench.watch.requests.spec import open_source

__all__ = ["RequestSource", "open_source"]
