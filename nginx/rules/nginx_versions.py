"""Rules about versions of nginx: what an upgrade changes, what needs a newer one, what is misplaced."""

from collections.abc import Iterator

from nginx import versions
from nginx.directive_versions import lines_too_new
from nginx.finding import Severity
from nginx.inheritance import Level
from nginx.rules.rule import GOOD, KEPT, POOL, Hit, Rule, RuleContext
from nginx.targets import TargetKind
from nginx.tree import Directive
from nginx.unshareable import unshareable

_CLIENT_SIDE = ("keepalive_requests", "keepalive_timeout", "keepalive_time")


@Rule(
    "NK017",
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
def keepalive_context_confusion(ctx: RuleContext) -> Iterator[Hit]:
    """keepalive_requests or keepalive_timeout stand where they are about clients, not about servers.

    In http {}, server {} and location {} they limit client connections; only inside upstream {} are they
    about its pool. `keepalive N` itself is refused anywhere but in an upstream {}.
    """
    for line in ctx.lines("keepalive"):
        text = 'nginx refuses it: "keepalive" directive is not allowed here'
        yield Hit(line.place, text, "move it into the upstream {}", severity=Severity.ERROR)
    blocks = [upstream.directive.block or () for upstream in ctx.model.upstreams]
    if any(child.name.startswith("keepalive") for block in blocks for child in block):
        return
    related = tuple(_wide_proxy_lines(ctx)[:2])
    if related:
        for level, line in _client_limits(ctx):
            where = f"{line.name} in {level.kind} {{}}"
            text = f"{where} is about clients; it does nothing for upstream connections"
            fix = f"put `keepalive 32;` (and `{line};`) into the upstream {{}}"
            yield Hit(line.place, text, fix, related=related)


def _client_limits(ctx: RuleContext) -> Iterator[tuple[Level, Directive]]:
    for level in ctx.model.levels:
        for name in _CLIENT_SIDE:
            yield from ((level, line) for line in level.all(name))


def _wide_proxy_lines(ctx: RuleContext) -> list[Directive]:
    """Return the lines that prepare upstream connections for keep-alive where clients' limits stand.

    That is in http {} or server {}, which pass nothing themselves, or beside such a limit in a location.
    """
    found = []
    for level in ctx.model.levels:
        if level.kind in {"http", "server"} or any(level.all(name) for name in _CLIENT_SIDE):
            found += [line for line in level.all("proxy_http_version") if line.args == ("1.1",)]
            found += [
                d for d in level.all("proxy_set_header") if d.args and d.args[0].lower() == "connection"
            ]
    return found


@Rule(
    "NK019",
    Severity.ERROR,
    bad=POOL + "server { http2 on; location / { proxy_pass http://app; } }",
)
def directive_needs_newer_nginx(ctx: RuleContext) -> Iterator[Hit]:
    """A directive or parameter came with a later version: this one does not start.

    Whether the whole directive is unknown or only not allowed there, nginx refuses the configuration.
    The reverse is a remark: what older versions need and this one does by default.
    """
    for needed, line in lines_too_new(ctx.model, ctx.version):
        what = f"{needed.name} {needed.argument}".strip().rstrip("=")
        where = f" in {needed.within} {{}}" if needed.within else ""
        text = f"{what}{where} needs nginx {needed.since}; {ctx.version} refuses it"
        yield Hit(line.place, text, f"use nginx {needed.since} or later, or remove it")
    yield from _redundant(ctx)


def _redundant(ctx: RuleContext) -> Iterator[Hit]:
    """Yield the lines that repeat the default since 1.29.7, if the check is for no older version."""
    if min(ctx.version, ctx.oldest or ctx.version) < versions.POOL_BY_DEFAULT:
        return
    for line in ctx.lines("proxy_http_version", "1.1"):
        text = f"`{line}` is the default here; older versions need it"
        yield Hit(line.place, text, severity=Severity.INFO)


@Rule(
    "NK048",
    Severity.MEDIUM,
    about_reuse=True,
    follows_from=("NK006", "NK007"),
    shown_on="1.31.4",
    bad="server { location / { proxy_pass http://127.0.0.1:8080; } }",
)
def active_close_moved_to_nginx(ctx: RuleContext) -> Iterator[Hit]:
    """Without a pool nginx now closes first: every TIME_WAIT lies on its host, and costs it a port.

    Since 1.29.7 the default is HTTP/1.1 without `Connection: close`, also for targets that have no pool;
    before, the server often closed first. A socket file has no port and no TIME_WAIT.
    """
    if ctx.version < versions.POOL_BY_DEFAULT:
        return
    for each in (each for each in ctx.using_protocol("http") if not each.is_over_sockets):
        is_address = any(target.kind is TargetKind.ADDRESS for target in each.targets)
        if is_address and ctx.verdict(each).closes_first == "nginx":
            text = (
                "since 1.29.7 nginx closes these connections first: all TIME_WAIT and ports are on its side"
            )
            fix = "pass to an upstream {} with `keepalive 32;`"
            if unshareable(each):
                fix = "bring back `proxy_http_version 1.0;` and `proxy_set_header Connection close;`"
            yield Hit(each.directive.place, text, fix, passes=(each,))


@Rule(
    "NK049",
    Severity.MEDIUM,
    shown_on="1.31.4",
    bad="server { location / { proxy_pass http://127.0.0.1:8080; } }",
)
def upgrade_to_http11_hazard(ctx: RuleContext) -> Iterator[Hit]:
    """The server now sees HTTP/1.1, since proxy_http_version is left to the default.

    Chunked answers, answers with both lengths ("upstream sent ..." 502) and broken 1.1 servers come to
    light; WebSocket without an explicit 1.1 begins to work.
    """
    if ctx.version < versions.POOL_BY_DEFAULT:
        return
    for each in ctx.using_protocol("http"):
        if each.http.directive is None:
            text = "proxy_http_version is left out: HTTP/1.0 before 1.29.7, HTTP/1.1 since"
            fix = "write `proxy_http_version 1.1;` and test with it before the upgrade"
            yield Hit(each.directive.place, text, fix, passes=(each,))


@Rule(
    "NK050",
    Severity.MEDIUM,
    bad=POOL + f"server {{ location /admin/ {{ dyups_interface; }} location / {{ {KEPT} }} }}",
    unproven="upstreams that are changed at run time need a module that is not part of nginx",
)
def reload_churn(ctx: RuleContext) -> Iterator[Hit]:
    """Each reload begins with empty pools, and an upstream that is replaced at run time loses its pool.

    Frequent reloads (certificates, service discovery) are periodic storms of connections. Only what
    replaces upstreams at run time (dyups) shows in the text: the first change takes the pool away.
    """
    for line in {id(u.changed_by): u.changed_by for u in ctx.model.upstreams}.values():
        if line is not None:
            text = f"an upstream that is changed through {line.name} loses its pool, on every version"
            fix = "write the servers into the file and reload, or change them in a `zone`"
            yield Hit(line.place, text, fix)
