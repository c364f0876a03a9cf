"""Rules about versions and contexts: what an upgrade changes, what needs a newer nginx, what is misplaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nginx import versions
from nginx.finding import Severity
from nginx.rules.examples import GOOD, KEPT, POOL
from nginx.rules.rule import Case, Hit, rule, said_at
from nginx.targets import Group
from nginx.tree import Directive
from nginx.versions import Version

_CLIENT_SIDE = ("keepalive_requests", "keepalive_timeout", "keepalive_time")


@rule(
    "NK017",
    "keepalive-context-confusion",
    Severity.MEDIUM,
    bad="""
        keepalive_requests 1000;
        keepalive_timeout 60;
        upstream app { server 10.0.0.1:8080; }
        server {
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            location / { proxy_pass http://app; }
        }
    """,
    good="keepalive_timeout 60;\n" + GOOD,
)
def confused_context(case: Case) -> Iterator[Hit]:
    """keepalive_requests or keepalive_timeout stand where they are about clients, not about servers.

    In http {}, server {} and location {} they limit client connections; only inside upstream {} are they
    about its pool. `keepalive N` itself is refused anywhere but in an upstream {}.
    """
    for level in case.model.levels:
        for line in level.all("keepalive"):
            text = 'nginx refuses it: "keepalive" directive is not allowed here'
            yield Hit(line.place, text, "move it into the upstream {}", severity=Severity.ERROR)
    if any(
        child.name.startswith("keepalive") for u in case.model.upstreams for child in u.directive.block or ()
    ):
        return
    about_servers = _wide_proxy_lines(case)
    if not about_servers:
        return
    for level in case.model.levels:
        for name in _CLIENT_SIDE:
            for line in level.all(name):
                yield Hit(
                    line.place,
                    f"{name} in {level.kind} {{}} is about clients; it does nothing for upstream connections",
                    f"put `keepalive 32;` (and `{line};`) into the upstream {{}}",
                    related=tuple(said_at(each) for each in about_servers[:2]),
                )


def _wide_proxy_lines(case: Case) -> list[Directive]:
    """Returns the lines that prepare upstream connections for keep-alive where clients' limits stand.

    That is in http {} or server {}, where nobody passes anything, or beside such a limit in a location.
    """
    found = []
    for level in case.model.levels:
        if level.kind in {"http", "server"} or any(level.all(name) for name in _CLIENT_SIDE):
            found += [line for line in level.all("proxy_http_version") if line.args == ("1.1",)]
            found += [
                d for d in level.all("proxy_set_header") if d.args and d.args[0].lower() == "connection"
            ]
    return found


@dataclass(frozen=True, slots=True)
class _Gate:
    """A directive (with an argument, if any) that came with a version; `within` names its block."""

    since: Version
    name: str
    within: str = ""
    argument: str = ""


_MODULES = ("proxy", "fastcgi", "uwsgi", "scgi", "memcached", "grpc")
_GATES = (
    _Gate(versions.POOL, "keepalive", "upstream"),
    _Gate(versions.POOL, "proxy_http_version"),
    _Gate(versions.POOL, "fastcgi_keep_conn"),
    _Gate(versions.POOL_LIMITS, "keepalive_requests", "upstream"),
    _Gate(versions.POOL_LIMITS, "keepalive_timeout", "upstream"),
    _Gate(versions.POOL_TIME, "keepalive_time"),
    _Gate(versions.POOL_TIME, "keepalive_time", "upstream"),
    _Gate(versions.RESOLVE, "server", "upstream", "resolve"),
    _Gate(versions.RESOLVE, "resolver", "upstream"),
    _Gate(versions.HTTP2_UPSTREAM, "proxy_http_version", "", "2"),
    _Gate(versions.parse("1.25.1"), "http2"),
    _Gate(versions.parse("1.25.0"), "http3"),
    *(_Gate(versions.parse("1.15.6"), f"{module}_socket_keepalive") for module in _MODULES),
    _Gate(versions.parse("1.27.4"), "keepalive_min_timeout"),
    _Gate(versions.parse("1.29.3"), "add_header_inherit"),
    _Gate(versions.parse("1.29.3"), "add_trailer_inherit"),
    _Gate(versions.POOL_BY_DEFAULT, "keepalive", "upstream", "local"),
    _Gate(versions.parse("1.11.5"), "server", "upstream", "max_conns="),
)


@rule(
    "NK019",
    "directive-needs-newer-nginx",
    Severity.ERROR,
    bad=POOL + "server { http2 on; location / { proxy_pass http://app; } }",
    good=GOOD,
)
def needs_newer(case: Case) -> Iterator[Hit]:
    """A directive or parameter came with a later version: this one does not start.

    Whether the whole directive is unknown or only not allowed there, nginx refuses the configuration.
    The reverse is a remark: what older versions need and this one does by default.
    """
    for gate in _GATES:
        if case.version >= gate.since:
            continue
        for line in _occurrences(case, gate):
            what = f"{gate.name} {gate.argument}".strip().rstrip("=")
            where = f" in {gate.within} {{}}" if gate.within else ""
            text = f"{what}{where} needs nginx {gate.since}; {case.version} refuses it"
            yield Hit(line.place, text, f"use nginx {gate.since} or later, or remove it")
    yield from _redundant(case)


def _redundant(case: Case) -> Iterator[Hit]:
    """Yields the lines that say what is the default since 1.29.7, if no older version is asked about."""
    if min(case.version, case.oldest or case.version) < versions.POOL_BY_DEFAULT:
        return
    for level in case.model.levels:
        for line in level.all("proxy_http_version"):
            if line.args == ("1.1",):
                yield Hit(
                    line.place, f"`{line}` is the default here; older versions need it", "", Severity.INFO
                )


def _occurrences(case: Case, gate: _Gate) -> Iterator[Directive]:
    if gate.within == "upstream":
        blocks = [list(upstream.directive.children(gate.name)) for upstream in case.model.upstreams]
    else:
        blocks = [level.all(gate.name) for level in case.model.levels]
    for line in (line for block in blocks for line in block):
        given = any(
            arg == gate.argument or (gate.argument[-1:] == "=" and gate.argument in arg) for arg in line.args
        )
        if not gate.argument or given:
            yield line


@rule(
    "NK048",
    "active-close-moved-to-nginx",
    Severity.MEDIUM,
    about_reuse=True,
    shown_on="1.31.4",
    bad="server { location / { proxy_pass http://127.0.0.1:8080; } }",
    good=GOOD,
)
def closer_moved(case: Case) -> Iterator[Hit]:
    """Without a pool nginx now closes first: every TIME_WAIT lies on its host, and costs it a port.

    Since 1.29.7 the default is HTTP/1.1 without `Connection: close`, also for targets that have no pool;
    before, the server often closed first.
    """
    if case.version < versions.POOL_BY_DEFAULT:
        return
    for each in case.speaking("http"):
        verdict = case.verdict(each)
        if verdict.closer == "nginx" and any(target.group is Group.ADDRESS for target in each.targets):
            yield Hit(
                each.directive.place,
                "since 1.29.7 nginx closes these connections first: all TIME_WAIT and ports are on its side",
                "pass to an upstream {}; or bring back `proxy_http_version 1.0` and `Connection close`",
                passes=(each,),
            )


@rule(
    "NK049",
    "upgrade-to-http11-hazard",
    Severity.MEDIUM,
    shown_on="1.31.4",
    bad="server { location / { proxy_pass http://127.0.0.1:8080; } }",
    good=GOOD,
)
def spoken_differently(case: Case) -> Iterator[Hit]:
    """The server now sees HTTP/1.1, since proxy_http_version is left to the default.

    Chunked answers, answers with both lengths ("upstream sent ..." 502) and broken 1.1 servers come to
    light; WebSocket without an explicit 1.1 begins to work.
    """
    if case.version < versions.POOL_BY_DEFAULT:
        return
    for each in case.speaking("http"):
        if each.http.directive is None:
            yield Hit(
                each.directive.place,
                "proxy_http_version is left out: HTTP/1.0 before 1.29.7, HTTP/1.1 since",
                "write `proxy_http_version 1.1;` and test with it before the upgrade",
                passes=(each,),
            )


@rule(
    "NK050",
    "reload-churn",
    Severity.LOW,
    shown_on="1.31.4",
    bad=POOL + f"server {{ location /admin/ {{ dyups_interface; }} location / {{ {KEPT} }} }}",
    good=GOOD,
    unproven="upstreams that are made at run time need a module that is not part of nginx",
)
def runtime_upstreams(case: Case) -> Iterator[Hit]:
    """Each reload begins with empty pools; upstreams made at run time have none since 1.29.7.

    Frequent reloads (certificates, service discovery) are periodic storms of connections. Only modules
    that make upstreams at run time show in the text.
    """
    if case.version < versions.POOL_BY_DEFAULT:
        return
    for level in case.model.levels:
        for name in ("dyups_interface", "upstream_conf", "dynamic_upstream"):
            for line in level.all(name):
                yield Hit(line.place, f"upstreams that {name} makes at run time have no pool since 1.29.7")
