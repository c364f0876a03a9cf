"""The verdict on one pass location: are its upstream connections reused, and if not, who closes first?

The question is about ordinary requests of a client that speaks HTTP/1.1 with keep-alive or HTTP/2, with
a server that follows RFC 9112. Three values: reused, not reused, depends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from nginx.targets import Group, Target
from nginx.tree import Directive
from nginx.upstream_request import CLOSE, ConnectionFields, HttpVersion, keeps, tokens
from nginx.upstreams import Pool, Upstream
from nginx.values import Value, shown, unknowns
from nginx.versions import Version

Answer = Literal["reused", "not reused", "depends"]
Closer = Literal["nginx", "backend", "race"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to the upstream connections of one location under one version of nginx.

    Attributes:
        closer: who closes first where they are not reused; None where they are or may be.
        pool: the pool that is used, or that would be if the request let it.
        http_version: None for protocols other than HTTP.
        connection_sent: the Connection fields of an ordinary request; alternatives joined by " | ".
        reason: one sentence or more, with the file and line of what decides.
    """

    answer: Answer
    closer: Closer | None
    pool: Pool | None
    http_version: str | None
    connection_sent: tuple[str, ...]
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Returns the verdict as plain values."""
        pool = self.pool and {
            "upstream": self.pool.upstream,
            "idle": self.pool.idle,
            "local": self.pool.is_local,
            "implicit": self.pool.directive is None,
        }
        return {
            "verdict": self.answer,
            "closer": self.closer,
            "pool": pool,
            "http_version": self.http_version,
            "connection_sent": list(self.connection_sent),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class _Half:
    """One half of the answer (the pool, or what is said) with the causes that decide it."""

    holds: bool | None
    causes: tuple[str, ...]


def judge(
    protocol: str,
    targets: list[Target],
    http: HttpVersion,
    connection: ConnectionFields,
    keep_conn: Directive | None,
    *,
    version: Version,
) -> Verdict:
    """Returns the verdict on a location, from what its directives come down to."""
    pooled = _pooled(protocol, targets, version)
    said = _said(protocol, http, connection, keep_conn, version)
    spoken = http.known(version) if protocol == "http" else None
    sent = connection.options(version) if spoken is not None and spoken != "2" else []
    answer = _both(pooled.holds, said.holds)
    pools = [pool for target in targets if target.upstream and (pool := target.upstream.pool(version))]
    return Verdict(
        answer=answer,
        closer=_closer(protocol, said.holds, spoken, connection.known(version))
        if answer == "not reused"
        else None,
        pool=pools[0] if pools and protocol not in {"uwsgi", "scgi", "tunnel"} else None,
        http_version=spoken,
        connection_sent=_shown(sent),
        reason=_reason(answer, pooled, said),
    )


def _both(pooled: bool | None, said: bool | None) -> Answer:
    if pooled is False or said is False:
        return "not reused"
    return "reused" if pooled and said else "depends"


def _closer(protocol: str, said: bool | None, spoken: str | None, sent: list[tuple[Value, ...]]) -> Closer:
    """Returns who closes first: nobody told the server to close, so nginx does; else both may."""
    if protocol in {"uwsgi", "scgi"}:
        return "race"  # the server ends a response without a length by closing, nginx one that has it
    if spoken is not None:
        said = all(keeps(spoken, fields) is True for fields in sent)
    return "nginx" if said else "race"


def _reason(answer: Answer, pooled: _Half, said: _Half) -> str:
    decisive = {"not reused": False, "depends": None, "reused": True}[answer]
    causes = [cause for half in (pooled, said) if half.holds is decisive for cause in half.causes]
    text = "; ".join(dict.fromkeys(causes))
    return f"depends on {text}" if answer == "depends" else text


def _shown(options: Iterable[tuple[Value, ...]]) -> tuple[str, ...]:
    """Returns the fields as sent; where several sets may be sent, each as one entry of the list."""
    listed = list(options)
    if len(listed) == 1:
        return tuple(shown(value) for value in listed[0])
    return tuple(" + ".join(shown(value) for value in fields) or "(none)" for fields in listed)


# The pool


def _pooled(protocol: str, targets: list[Target], version: Version) -> _Half:
    if protocol in {"uwsgi", "scgi"}:
        return _Half(False, (f"{protocol} has no notion of keep-alive: each request has its own connection",))
    if protocol == "tunnel":
        return _Half(False, ("a tunnel is never returned to a pool",))
    halves = [_target_pooled(target, version) for target in targets]
    holds = {half.holds for half in halves}
    if len(holds) == 1:
        return _Half(holds.pop(), tuple(cause for half in halves for cause in half.causes))
    decisive = [cause for half in halves if half.holds is not True for cause in half.causes]
    return _Half(None, (f"the target ({', '.join(t.text for t in targets)}): {'; '.join(decisive)}",))


def _target_pooled(target: Target, version: Version) -> _Half:
    if target.upstream is not None:
        return _upstream_pooled(target.upstream, version)
    if target.group is Group.ADDRESS:
        return _Half(
            False, (f'"{target.text}" is no upstream {{}}, and nginx pools connections to nothing else',)
        )
    if target.host or any(_upstream_pooled(block, version).holds is not False for block in target.candidates):
        return _Half(None, (target.hangs_on,))
    if target.candidates:
        names = ", ".join(block.name for block in target.candidates)
        return _Half(False, (f"no upstream {{}} that {target.text} may name ({names}) has a pool",))
    return _Half(None, (target.hangs_on,))


def _upstream_pooled(upstream: Upstream, version: Version) -> _Half:
    pool = upstream.pool(version)
    where = f'upstream "{upstream.name}" ({upstream.directive.place})'
    if pool is not None:
        kept = f"keeps {pool.idle} idle connections per worker"
        how = str(pool.directive.place) if pool.directive else "by default since 1.29.7"
        return _Half(True, (f"{where} {kept} ({how})",))
    if upstream.missing is not None and upstream.keepalive is None:
        return _Half(None, (f"{upstream.missing.args[0]}, included in {where} and missing here",))
    return _Half(False, (f"{where} {_why_no_pool(upstream)}",))


def _why_no_pool(upstream: Upstream) -> str:
    line = upstream.keepalive
    if line is None:
        return "has no keepalive"
    if len(line.args) > 1:
        return f"has a keepalive that this version refuses ({line} at {line.place})"
    balancer = upstream.balancer_after_keepalive()
    if balancer is not None:
        return f"loses its keepalive ({line.place}) to {balancer.name} behind it ({balancer.place})"
    for name in ("keepalive_requests", "keepalive_timeout"):
        limit = upstream.directive.child(name)
        if limit is not None and line.args[:1] != ("0",):
            return f"allows no second request on a connection ({limit} at {limit.place})"
    return f"switches its pool off ({line} at {line.place})"


# What is said


def _said(
    protocol: str,
    http: HttpVersion,
    connection: ConnectionFields,
    keep_conn: Directive | None,
    version: Version,
) -> _Half:
    if protocol == "fastcgi":
        return _fastcgi_said(keep_conn)
    if protocol != "http":
        return _Half(True, (f"{protocol} connections stay open by themselves",))
    outcomes = {
        (spoken, fields): keeps(spoken, fields)
        for spoken in http.options(version)
        for fields in connection.options(version)
    }
    holds = set(outcomes.values())
    answer = holds.pop() if len(holds) == 1 else None
    if answer is None:
        return _Half(None, _open_causes(http, connection, version))
    return _Half(answer, _http_causes(answer, http, connection, version))


def _fastcgi_said(keep_conn: Directive | None) -> _Half:
    if keep_conn is not None and keep_conn.args == ("on",):
        return _Half(True, (f"fastcgi_keep_conn is on ({keep_conn.place})",))
    where = f"({keep_conn.place})" if keep_conn else "by default"
    return _Half(False, (f"fastcgi_keep_conn is off {where}, so the application is asked to close",))


def _http_causes(
    kept: bool, http: HttpVersion, connection: ConnectionFields, version: Version
) -> tuple[str, ...]:
    causes = []
    spoken = http.options(version)
    where = str(http.directive.place) if http.directive else "the default"
    named, _ = tokens(field for fields in connection.options(version) for field in fields)
    if kept or (spoken == ["1.0"] and "keep-alive" not in named):
        causes.append(f"HTTP/{' or '.join(spoken)} ({where})")
    if spoken != ["2"]:
        causes.append(_sent_cause(connection, version))
    return tuple(causes)


def _sent_cause(connection: ConnectionFields, version: Version) -> str:
    options = connection.options(version)
    if options == [()]:
        text = "no Connection field is sent"
    else:
        sent = " or ".join(dict.fromkeys(" + ".join(map(shown, fields)) or "(none)" for fields in options))
        text = f"Connection: {sent} is sent"
    if connection.entries:
        return f"{text} ({', '.join(str(entry.place) for entry, _ in connection.entries)})"
    text += ", the default"
    if connection.masked and connection.owner is not None and options == [(CLOSE,)]:
        first = connection.owner.all("proxy_set_header")[0]
        text += f": the header lines from {first.place} on mask the one at {connection.masked[0].place}"
    return text


def _open_causes(http: HttpVersion, connection: ConnectionFields, version: Version) -> tuple[str, ...]:
    missing = [part.missing for part in (http, connection) if part.missing is not None]
    named = [f"{include.args[0]}, included at {include.place} and missing here" for include in missing]
    holes = unknowns(value for fields in connection.options(version) for value in fields)
    named += [
        f"{hole} in Connection: {hole.why}"
        for hole in holes
        if not connection.missing or hole.name != connection.missing.args[0]
    ]
    if not named:
        named.append(f"the request: {_sent_cause(connection, version)}, with HTTP/{http.options(version)[0]}")
    return tuple(dict.fromkeys(named))
