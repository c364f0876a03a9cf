"""What must hold of the keys of a plan that are about TLS and HTTP/2. Pure."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bench.errors import PlanError

if TYPE_CHECKING:
    from bench.plan.run_plan import Plan

MOST_STREAMS = 100
"""What servers allow at a time on one connection (RFC 9113, section 6.5.2, recommends no fewer)."""
_NO_TLS = "has no effect, since the clients speak no TLS; leave it out, or"
_OF_TARGET = "has no effect, since the certificate is made for the run; leave it out, or load a target"

_OF_CONNECTION = frozenset({"connection", "proxy-connection", "keep-alive"})

RULES: tuple[tuple[Callable[["Plan"], bool], str], ...] = (
    (
        lambda p: p.has_client_tls or not p.load.insecure,
        f"load.insecure {_NO_TLS} add load.tls",
    ),
    (
        lambda p: p.has_client_tls or p.load.tls_sessions,
        f"load.tls_sessions {_NO_TLS} add load.tls",
    ),
    (
        lambda p: p.has_client_tls or (p.load.cacert is None),
        f"load.cacert = {{load.cacert!r}} {_NO_TLS} load a target with https://",
    ),
    (
        lambda p: p.has_client_tls or (p.load.sni is None),
        f"load.sni = {{load.sni!r}} {_NO_TLS} load a target with https://",
    ),
    (
        lambda p: p.subject.target is not None or p.load.cacert is None,
        f"load.cacert = {{load.cacert!r}} {_OF_TARGET}",
    ),
    (
        lambda p: p.subject.target is not None or p.load.sni is None,
        f"load.sni = {{load.sni!r}} {_OF_TARGET}",
    ),
    (
        lambda p: not (p.load.insecure and p.load.cacert),
        "load.cacert = {load.cacert!r} has no effect beside load.insecure; leave out one of them",
    ),
    (
        lambda p: p.load.http2 or p.load.streams == 1,
        "load.streams = {load.streams} has no effect without HTTP/2; leave it out, or add load.http2",
    ),
    (
        lambda p: not p.load.http2 or not _has_new_connections(p),
        "load.http2 keeps its connections, and those of this plan are new for each request; leave it out, or"
        " set mode = 'keepalive' and load.client_mode = 'keepalive'",
    ),
    (
        lambda p: not p.load.http2 or p.subject.target is not None or p.subject.name != "direct",
        "load.http2 cannot reach the backend, which speaks HTTP/1.1; leave it out, or measure a proxy",
    ),
    (
        lambda p: not p.load.http2 or not _OF_CONNECTION & set(_names(p)),
        "load.headers has a field about the connection, which is none of HTTP/2 (RFC 9113, section 8.2.2);"
        " leave it out, or load.http2",
    ),
    (
        lambda p: not p.load.http2 or p.load.second_opinion is None,
        "load.second_opinion = {load.second_opinion!r} is run with HTTP/1.1; leave it out, or load.http2",
    ),
    (
        lambda p: p.subject.upstream_tls or p.subject.upstream_tls_sessions,
        "subject.upstream_tls_sessions has no effect without TLS to the backend; leave it out, or add"
        " subject.upstream_tls",
    ),
)


def _names(plan: "Plan") -> Iterator[str]:
    """Yield the names of the fields that a plan adds."""
    for line in plan.load.headers:
        yield line.partition(":")[0].strip().lower()


def _has_new_connections(plan: "Plan") -> bool:
    """Return whether the clients open a connection for each request."""
    is_proxied = plan.subject.target is None and plan.subject.name != "direct"
    return plan.load.client_mode == "short" if is_proxied else plan.mode != "keepalive"


def check(plan: "Plan") -> None:
    """Raise PlanError where a key about TLS or HTTP/2 makes no sense beside the others."""
    for holds, message in RULES:
        if not holds(plan):
            raise PlanError("plan: " + message.format(load=plan.load, subject=plan.subject))
