"""Compute the verdict on one pass location: whether its connections are reused, else who closes first.

The question is about ordinary requests of a client that speaks HTTP/1.1 with keep-alive or HTTP/2, with
a server that follows RFC 9112. Four values: reused, partly reused, not reused, depends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

from nginx import versions
from nginx.answer_factor import answer_factor
from nginx.factor import Factor
from nginx.http2_fields import forbidden_fields
from nginx.model import PassLocation
from nginx.pool_share import ReuseShare, ShareJson, reuse_share, size_needed
from nginx.targets import STREAM, Target, TargetKind
from nginx.tree import Directive
from nginx.upstream_request import CLOSE, ConnectionFields, HttpVersion, connection_options, keeps_open
from nginx.upstreams import Pool, Upstream
from nginx.values import Value, format_value, unknowns
from nginx.versions import Version

Answer = Literal["reused", "partly reused", "not reused", "depends"]
ClosesFirst = Literal["nginx", "backend", "race"]


class PoolJson(TypedDict):
    """A pool in the JSON of a verdict."""

    upstream: str
    idle: int | None
    local: bool
    implicit: bool


class VerdictJson(TypedDict):
    """A verdict in the JSON of `bench check` and `bench prove`."""

    verdict: Answer
    closes_first: ClosesFirst | None
    pool: PoolJson | None
    http_version: str | None
    connection_sent: list[str]
    reason: str
    share: ShareJson | None
    depends_on: list[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to the upstream connections of one location under one version of nginx."""

    answer: Answer
    closes_first: ClosesFirst | None
    """Who closes first where they are not reused; None where they are or may be."""
    pool: Pool | None
    """The pool that is used, or that would be if the request allowed it."""
    http_version: str | None
    """None for protocols other than HTTP."""
    connection_sent: tuple[str, ...]
    """The Connection fields of an ordinary request; of several possible sets, each is one entry."""
    reason: str
    """One sentence or more, with the file and line of what decides."""
    share: ReuseShare | None = None
    """How much is reused, where that is a part."""
    depends_on: tuple[str, ...] = ()
    """The directives that decide in a way that the text does not show, such as those of other modules."""

    def to_json(self) -> VerdictJson:
        """Return the verdict as plain values."""
        pool: PoolJson | None = (
            None
            if self.pool is None
            else {
                "upstream": self.pool.upstream,
                "idle": self.pool.idle,
                "local": self.pool.is_local,
                "implicit": self.pool.directive is None,
            }
        )
        return {
            "verdict": self.answer,
            "closes_first": self.closes_first,
            "pool": pool,
            "http_version": self.http_version,
            "connection_sent": list(self.connection_sent),
            "reason": self.reason,
            "share": None if self.share is None else self.share.to_json(),
            "depends_on": list(self.depends_on),
        }


def compute_verdict(each: PassLocation, version: Version, in_flight: int = 0) -> Verdict:
    """Return the verdict on a location, from its effective directives.

    Args:
        each: the location.
        version: the version of nginx.
        in_flight: requests in flight per worker at the peak; 0 where that is not given.
    """
    found = _verdict(each, version, in_flight)
    cases = {case.answer: case for case in (_verdict(one, version, in_flight) for one in each.conditional)}
    if found.answer == "depends" or not cases or set(cases) == {found.answer}:
        return found
    if len(cases) == 1:
        cases[found.answer] = found
    named = " or ".join(
        case.reason if answer == "depends" else f"{answer} ({case.reason})" for answer, case in cases.items()
    )
    reason = f"depends on the template's conditions: {named}"
    return replace(found, answer="depends", closes_first=None, reason=reason, share=None)


def _verdict(each: PassLocation, version: Version, in_flight: int) -> Verdict:
    factors = (
        _pool_factor(each, version, in_flight),
        _request_factor(each, version),
        answer_factor(each, version),
    )
    answer = _answer(factors)
    http_version = each.http.effective(version) if each.protocol == "http" else None
    sent = each.connection.possible(version) if http_version not in {None, "2"} else []
    pools = [pool for upstream in each.upstreams() if (pool := upstream.pool(version))]
    return Verdict(
        answer=answer,
        closes_first=_closes_first(each, factors[1].holds, version) if answer == "not reused" else None,
        pool=pools[0] if pools and each.may_be_pooled else None,
        http_version=http_version,
        connection_sent=_format_sets(sent),
        reason=_reason(answer, factors),
        share=factors[0].share if answer == "partly reused" else None,
        depends_on=_named(factors) if answer == "depends" else (),
    )


def _answer(factors: tuple[Factor, ...]) -> Answer:
    holds = {factor.holds for factor in factors}
    if False in holds:
        return "not reused"
    if None in holds:
        return "depends"
    return "partly reused" if any(factor.share for factor in factors) else "reused"


def _named(factors: tuple[Factor, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for factor in factors for name in factor.depends_on))


def _closes_first(each: PassLocation, keeps: bool | None, version: Version) -> ClosesFirst | None:
    """Return who closes first: nginx, if nothing requests a close of the server; else both may."""
    if each.protocol == STREAM:
        return None if each.is_over_udp else "race"  # nginx follows whichever side ends the session
    if each.protocol in {"uwsgi", "scgi"}:
        return "race"  # the server ends a response without a length by closing, nginx one that has it
    if each.protocol == "http":
        http_version, sent = each.http.effective(version), each.connection.effective(version)
        keeps = all(keeps_open(http_version, fields) is True for fields in sent)
    if any(forbidden_fields(each, version)):
        return "race"  # whichever of both resets the refused request
    return "nginx" if keeps else "race"


def _reason(answer: Answer, factors: tuple[Factor, ...]) -> str:
    decisive = {"not reused": False, "depends": None}.get(answer, True)
    causes = [cause for factor in factors if factor.holds is decisive for cause in factor.causes]
    text = "; ".join(dict.fromkeys(causes))
    return f"depends on {text}" if answer == "depends" else text


def _format_sets(options: Sequence[tuple[Value, ...]]) -> tuple[str, ...]:
    """Return the fields as sent; where several sets may be sent, each as one entry of the list."""
    if len(options) == 1:
        return tuple(map(format_value, options[0]))
    return tuple(map(_format_fields, options))


def _format_fields(fields: tuple[Value, ...]) -> str:
    return " + ".join(map(format_value, fields)) or "(none)"


# The pool


def _pool_factor(each: PassLocation, version: Version, in_flight: int) -> Factor:
    if (known := _factor_of_protocol(each)) is not None:
        return known
    if each.unresolved and all(target.kind is TargetKind.ADDRESS for target in each.targets):
        names = ", ".join(each.unresolved)
        return Factor(False, (f"no resolver is in force to look up {names}: each request ends in 502",))
    factors = [_target_factor(target, version, in_flight) for target in each.targets]
    holds = {factor.holds for factor in factors}
    modules = tuple(dict.fromkeys(name for factor in factors for name in factor.depends_on))
    if len(holds) == 1:
        share = next((factor.share for factor in factors if factor.share), None)
        causes = tuple(cause for factor in factors for cause in factor.causes)
        return Factor(holds.pop(), causes, share, modules)
    decisive = [cause for factor in factors if factor.holds is not True for cause in factor.causes]
    named = ", ".join(target.text for target in each.targets)
    return Factor(None, (f"the target ({named}): {'; '.join(decisive)}",), depends_on=modules)


def _factor_of_protocol(each: PassLocation) -> Factor | None:
    """Return what holds for a protocol that has no pool, or that is not known; None for the others."""
    if not each.is_of_nginx:
        cause = (
            f"{each.directive.name} ({each.directive.place}), a pass of a module that is not part of nginx"
        )
        return Factor(None, (cause,), depends_on=(each.directive.name,))
    if each.protocol in {"uwsgi", "scgi"}:
        cause = f"{each.protocol} has no notion of keep-alive: each request has its own connection"
        return Factor(False, (cause,))
    if each.protocol == STREAM:
        return Factor(False, (_session_cause(each),))
    if each.protocol == "tunnel":
        return Factor(False, ("a tunnel is never returned to a pool",))
    return None


def _session_cause(each: PassLocation) -> str:
    if each.is_over_udp:
        return "stream {} has no pool: each session of datagrams has a port of its own until it times out"
    cause = "stream {} has no pool: each session opens a connection of its own"
    if each.is_over_sockets:
        return f"{cause}, over a socket file"
    return f"{cause}, which takes one of nginx's ports until TIME_WAIT has passed"


def _target_factor(target: Target, version: Version, in_flight: int) -> Factor:
    if target.upstream is not None:
        return _upstream_factor(target.upstream, version, in_flight)
    if target.kind is TargetKind.ADDRESS:
        cause = f'"{target.text}" is no upstream {{}}, and nginx pools connections to nothing else'
        if not target.host:
            cause = "an empty target is a 500"
        return Factor(False, (cause,))
    if target.host or any(_upstream_factor(block, version).holds is not False for block in target.candidates):
        return Factor(None, (target.depends_on,))
    if target.candidates:
        names = ", ".join(block.name for block in target.candidates)
        return Factor(False, (f"no upstream {{}} that {target.text} may name ({names}) has a pool",))
    return Factor(None, (target.depends_on,))


def _upstream_factor(upstream: Upstream, version: Version, in_flight: int = 0) -> Factor:
    pool = upstream.pool(version)
    where = f'upstream "{upstream.name}" ({upstream.directive.place})'
    deciding = upstream.deciding_lines
    if deciding:
        causes = tuple(f"{line.name} ({line.place}), {why}" for line, why in deciding)
        return Factor(None, causes, depends_on=tuple(line.name for line, _ in deciding))
    if upstream.is_down:
        return Factor(False, (f"{where} has no server that is not down: each request ends in 502",))
    if pool is not None:
        return _kept_factor(upstream, pool, where, version, in_flight)
    if upstream.size_to_fill_in is not None and upstream.pool(version, filled_in=1) is not None:
        return _filled_in_factor(upstream, upstream.size_to_fill_in, version, in_flight)
    if upstream.missing is not None and upstream.keepalive is None:
        return Factor(None, (f"{upstream.missing.args[0]}, included in {where} and missing here",))
    return Factor(False, (f"{where} {_why_no_pool(upstream)}",))


def _kept_factor(upstream: Upstream, pool: Pool, where: str, version: Version, in_flight: int) -> Factor:
    """Return what holds for a pool that keeps connections: for how many requests, and for how long."""
    brief = upstream.brief_limit(version)
    if brief is not None:
        soon = f"how soon a request follows: {where} closes each connection by `{brief}` ({brief.place})"
        return Factor(None, (soon,))
    share = reuse_share(upstream, pool, in_flight)
    how = str(pool.directive.place) if pool.directive else "by default since 1.29.7"
    plural = "" if pool.idle == 1 else "s"
    cause = f"{where} keeps {pool.idle} idle connection{plural} per worker ({how})"
    if share is not None:
        cause += f" for {share.cause}: it reuses connections for {share}"
    return Factor(True, (cause,), share)


def _filled_in_factor(upstream: Upstream, line: Directive, version: Version, in_flight: int) -> Factor:
    """Return what holds for each size that nginx accepts: before the default pools 0 was none of them."""
    needed = size_needed(upstream, in_flight)
    text = f'the size of the pool of upstream "{upstream.name}", which is filled in later ({line.place})'
    if needed == 1 and version < versions.POOL_BY_DEFAULT:
        return Factor(True, (f"{text}: each size from 1 on is enough",))
    return Factor(None, (f"{text}: reused from {needed} on",))


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


# The request


def _request_factor(each: PassLocation, version: Version) -> Factor:
    if not each.is_of_nginx:
        return Factor(True, ())
    if each.protocol == "fastcgi":
        return _fastcgi_factor(each.keep_conn)
    forbidden = list(forbidden_fields(each, version))
    if forbidden:
        causes = tuple(
            f"`{field.directive}` ({field.directive.place}), which HTTP/2 forbids: servers refuse it"
            for field in forbidden
        )
        return Factor(False if any(field.is_certain for field in forbidden) else None, causes)
    if each.protocol != "http":
        return Factor(True, (f"{each.protocol} connections stay open by themselves",))
    sent = each.connection.possible(version)
    holds = {keeps_open(http, fields) for http in each.http.possible(version) for fields in sent}
    kept = holds.pop() if len(holds) == 1 else None
    if kept is None:
        return Factor(None, _unknown_causes(each.http, each.connection, version))
    return Factor(kept, _http_causes(kept, each.http, each.connection, version))


def _fastcgi_factor(keep_conn: Directive | None) -> Factor:
    if keep_conn is not None and keep_conn.is_on:
        return Factor(True, (f"fastcgi_keep_conn is on ({keep_conn.place})",))
    where = f"({keep_conn.place})" if keep_conn else "by default"
    if keep_conn is not None and keep_conn.is_filled_in:
        return Factor(None, (f"fastcgi_keep_conn, which is filled in later {where}",))
    cause = f"fastcgi_keep_conn is off {where}, so the application closes after each response"
    return Factor(False, (cause,))


def _http_causes(
    kept: bool, http: HttpVersion, connection: ConnectionFields, version: Version
) -> tuple[str, ...]:
    causes = []
    possible = http.possible(version)
    where = str(http.directive.place) if http.directive else "the default"
    named, _ = connection_options(field for fields in connection.possible(version) for field in fields)
    if kept or (possible == ["1.0"] and "keep-alive" not in named):
        causes.append(f"HTTP/{' or '.join(possible)} ({where})")
    if possible != ["2"]:
        causes.append(_sent_cause(connection, version))
    return tuple(causes)


def _sent_cause(connection: ConnectionFields, version: Version) -> str:
    options = connection.possible(version)
    text = "no Connection field is sent"
    if options != [()]:
        text = f"Connection: {' or '.join(dict.fromkeys(map(_format_fields, options)))} is sent"
    if connection.entries:
        return f"{text} ({', '.join(str(entry.place) for entry, _ in connection.entries)})"
    text += ", the default"
    if connection.masked and connection.owner is not None and options == [(CLOSE,)]:
        first = connection.owner.all("proxy_set_header")[0]
        text += f": the header lines from {first.place} on mask the one at {connection.masked[0].place}"
    return text


def _unknown_causes(http: HttpVersion, connection: ConnectionFields, version: Version) -> tuple[str, ...]:
    missing = [part.missing for part in (http, connection) if part.missing is not None]
    named = [f"{include.args[0]}, included at {include.place} and missing here" for include in missing]
    if http.is_filled_in and http.directive is not None:
        named.append(f"proxy_http_version, which is filled in later ({http.directive.place})")
    holes = unknowns(value for fields in connection.possible(version) for value in fields)
    named += [
        f"{hole} in Connection: {hole.why}"
        for hole in holes
        if not connection.missing or hole.name != connection.missing.args[0]
    ]
    if not named:
        named.append(
            f"the request: {_sent_cause(connection, version)}, with HTTP/{http.possible(version)[0]}"
        )
    return tuple(dict.fromkeys(named))
