"""The subjects by name."""

from __future__ import annotations

from bench.subjects.asyncio_proxy import AsyncioProxy
from bench.subjects.caddy import Caddy
from bench.subjects.direct import Direct
from bench.subjects.envoy import Envoy
from bench.subjects.haproxy import HAProxy
from bench.subjects.nghttpx import Nghttpx
from bench.subjects.nginx import Nginx
from bench.subjects.subject import SubjectAdapter

SUBJECTS: dict[str, type[SubjectAdapter]] = {
    "asyncio": AsyncioProxy,
    "direct": Direct,
    "nginx": Nginx,
    "haproxy": HAProxy,
    "envoy": Envoy,
    "caddy": Caddy,
    "nghttpx": Nghttpx,
}
