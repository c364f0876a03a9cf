"""Rules about the Connection header that nginx sends to the server."""

from collections.abc import Iterator

from nginx import versions
from nginx.finding import Severity
from nginx.model import PassLocation
from nginx.rules.rule import PASS, POOL, Hit, Rule, RuleContext, location
from nginx.tree import Directive
from nginx.upstream_request import connection_options
from nginx.values import Values, pieces
from nginx.variables import Definitions, is_clients
from nginx.versions import Version

_EMPTY = 'proxy_set_header Connection "";'
_EMPTY_KEY = "''"
_UPGRADE_MAP = "one line with a map on $http_upgrade that gives upgrade, or '' for ''"
_BY_MAP = location(PASS, "proxy_http_version 1.1; proxy_set_header Connection $connection_upgrade;")


@Rule(
    "NK003",
    Severity.HIGH,
    about_reuse=True,
    bad=location(PASS, "proxy_http_version 1.1;"),
)
def connection_default_close(ctx: RuleContext) -> Iterator[Hit]:
    """nginx sends `Connection: close`, its default before 1.29.7, because no header line sets another.

    The default is added to the `proxy_set_header` list in force for each name that is not in it.
    """
    for each in ctx.using_protocol("http"):
        if each.http.effective(ctx.version) == "2" or not each.connection.is_default(ctx.version):
            continue
        if each.connection.missing is not None or _lost_line(each, ctx.version) is not None:
            continue  # what is not here may set it; a line that is lost is NK005, whose edit mends both
        owner = each.connection.owner
        where = f" beside the other header lines of {owner}" if owner and owner is not each.level else ""
        text = "`Connection: close` is sent, the default before 1.29.7"
        fix = f"add `{_EMPTY}`{where}"
        related = tuple(each.connection.header_lines[:1])
        yield Hit(each.directive.place, text, fix, related=related, passes=(each,))


@Rule(
    "NK003b",
    Severity.MEDIUM,
    bad=POOL
    + """
        server {
            proxy_http_version 1.1;
            location / { proxy_pass http://app; proxy_set_header Connection ""; }
            location /old/ { proxy_pass http://app; }
        }
    """,
    good=POOL
    + """
        server {
            proxy_http_version 1.1;
            location / { proxy_pass http://app; proxy_set_header Connection ""; }
            location /old/ { proxy_pass http://app; proxy_set_header Connection ""; }
        }
    """,
)
def pool_drain(ctx: RuleContext) -> Iterator[Hit]:
    """A location that has its connections closed uses up the idle connections of one that keeps them.

    It removes them from the pool that they share, and they do not come back.
    """
    for upstream, pool in ctx.pooled():
        users = [each for each in ctx.model.users(upstream) if not pool.is_local]
        good = list(filter(ctx.reuses, users))
        for each in users:
            if good and ctx.verdict(each).answer == "not reused" and each.protocol == "http":
                kept = f"that {good[0].context} keeps ({good[0].directive.place})"
                text = f'this location closes the idle connections of upstream "{upstream.name}" {kept}'
                fix = "make it reuse its connections too, or give it an upstream {} of its own"
                yield Hit(each.directive.place, text, fix, related=(good[0].directive,), passes=(each,))


@Rule(
    "NK004",
    Severity.HIGH,
    about_reuse=True,
    bad=location(PASS, "proxy_http_version 1.1; proxy_set_header Connection close;"),
)
def connection_close_explicit(ctx: RuleContext) -> Iterator[Hit]:
    """A header line sends `Connection: close`, as text or through a variable: closed on every version."""
    for each, line in _closing_lines(ctx):
        if _map_behind(line.args[1], ctx.model.variables) is None:
            text = f"`{line}` tells the server to close after each response"
            fix = f"write `{_EMPTY}`"
            yield Hit(line.place, text, fix, related=(each.directive,), passes=(each,))


@Rule(
    "NK009",
    Severity.HIGH,
    about_reuse=True,
    bad="map $http_upgrade $connection_upgrade { default upgrade; '' close; }\n" + _BY_MAP,
    good="map $http_upgrade $connection_upgrade { default upgrade; '' ''; }\n" + _BY_MAP,
)
def map_upgrade_close(ctx: RuleContext) -> Iterator[Hit]:
    """A map sends `Connection: close` with every request that has no Upgrade field.

    The WebSocket map of many guides (`'' close`) is one; it defeats the pool on every version, also
    since 1.29.7. An empty value for '' lets WebSocket through and keeps the ordinary connections.
    """
    for each, line in _closing_lines(ctx):
        block = _map_behind(line.args[1], ctx.model.variables)
        if block is None:
            continue
        entry = next((e for e in block.block or () if e.args and "close" in e.args[0].lower()), None)
        text = f"{line.args[1]} is `close` for each request without Upgrade: their connections are closed"
        fix = "let the map give '' where it gives close"
        if entry is not None:
            fix = f"write `{entry.name or _EMPTY_KEY} '';` in the map"
        yield Hit((entry or block).place, text, fix, related=(line, block), passes=(each,))


@Rule(
    "NK005",
    Severity.HIGH,
    about_reuse=True,
    bad=POOL
    + """
        server {
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            location / { proxy_pass http://app; proxy_set_header Host $host; }
        }
    """,
    good=POOL
    + """
        server {
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            location / { proxy_pass http://app; proxy_set_header Host $host; proxy_set_header Connection ""; }
        }
    """,
)
def header_inheritance_lost(ctx: RuleContext) -> Iterator[Hit]:
    """Header lines of an inner level replace the whole list of the outer one, Connection with it.

    proxy_set_header lists never merge: a single line for Host in a location drops the `Connection ""` of
    the server. proxy_http_version is inherited on its own, so only one half survives. Since 1.29.7 the
    default is harmless, but a lost upgrade header still breaks WebSocket.
    """
    old = ctx.version < versions.POOL_BY_DEFAULT
    for each in ctx.using_protocol("http"):
        connection, lost = each.connection, _lost_line(each, ctx.version)
        if lost is None:
            continue
        dropped = f"`{lost}` ({lost.place}), which {each.context} would have inherited"
        text = f"this header line drops {dropped}"
        fix, severity = f"repeat `{lost};` beside it", None if old else Severity.MEDIUM
        place = connection.header_lines[0].place
        yield Hit(place, text, fix, severity, (lost, each.directive), (each,))


def _lost_line(each: PassLocation, version: Version) -> Directive | None:
    """Return the outer Connection line that an inner list drops, where the default does not stand in."""
    connection = each.connection
    if connection.owner is None or not connection.masked or each.http.effective(version) == "2":
        return None
    lost = connection.masked[-1]
    is_default = version >= versions.POOL_BY_DEFAULT and not lost.args[1]
    return None if is_default or _has_option(lost, "close") else lost


@Rule(
    "NK010",
    Severity.LOW,
    about_reuse=True,
    bad=location(PASS, "proxy_http_version 1.1; proxy_set_header Connection upgrade;"),
)
def connection_upgrade_always(ctx: RuleContext) -> Iterator[Hit]:
    """`Connection: upgrade` is sent with every request, also with those that upgrade nothing.

    It does not stop reuse: it holds no close. But the field names an Upgrade field that is not there
    (RFC 9110, section 7.8), and a few servers close or answer 400.
    """
    for each, line in _connection_lines(ctx):
        if _has_option(line, "upgrade"):
            text = f"`{line}` is sent with ordinary requests too; reuse goes on, but some servers refuse"
            fix = f"write {_UPGRADE_MAP}"
            yield Hit(line.place, text, fix, passes=(each,))


@Rule(
    "NK011",
    Severity.MEDIUM,
    about_reuse=True,
    bad=location(PASS, "proxy_http_version 1.1; proxy_set_header Connection $http_connection;"),
)
def connection_client_controlled(ctx: RuleContext) -> Iterator[Hit]:
    """The client's own field decides about the connection to the server.

    A client that sends close has its upstream connection closed, and anyone can force churn or name
    fields that are to be dropped. So too where a map gives the field back, or turns it into close.
    """
    for each, line in _connection_lines(ctx):
        if each.http.effective(ctx.version) == "2":
            continue
        named = sorted(filter(_allows_close, _behind(line.args[1], ctx.model.variables)))
        if named:
            text = f"clients decide through ${named[0]} whether upstream connections are reused"
            fix = f"write `{_EMPTY}`"
            if each.connection.lines_of("upgrade"):
                fix = f"write {_UPGRADE_MAP}"
            yield Hit(line.place, text, fix, passes=(each,))


@Rule(
    "NK012",
    Severity.MEDIUM,
    about_reuse=True,
    bad=location(
        PASS, 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Connection upgrade;'
    ),
)
def duplicate_connection_headers(ctx: RuleContext) -> Iterator[Hit]:
    """Several Connection lines stand at one level: all are sent, none replaces another.

    An empty one sends nothing and cancels nothing; every other one is sent as a field of its own.
    """
    for each in ctx.using_protocol("http"):
        lines = [line for line, _ in each.connection.entries]
        if len(lines) > 1:
            text = f"{len(lines)} Connection lines are in force together: they add up"
            fix = _which_to_keep(each, ctx.model.variables)
            yield Hit(lines[-1].place, text, fix, related=tuple(lines[:-1]), passes=(each,))


def _which_to_keep(each: PassLocation, defined: Definitions) -> str:
    """Return which of several Connection lines to keep: one that lets WebSocket through, or the empty one."""
    lines = [line for line, values in each.connection.entries if not _may_close(line, values, defined)]
    is_upgrading = bool(each.connection.lines_of("upgrade"))
    by_map = [line for line in lines if _asks_for_upgrade(_map_behind(line.args[1], defined))]
    empty = [line for line in lines if not line.args[1]]
    kept = next(iter(by_map or (() if is_upgrading else empty)), None)
    if kept is not None:
        return f"keep `{kept};` ({kept.place}) and remove the others"
    return f"replace them by {_UPGRADE_MAP if is_upgrading else f'one `{_EMPTY}`'}"


def _asks_for_upgrade(block: Directive | None) -> bool:
    return block is not None and any(name == "http_upgrade" for name, _ in pieces(block.args[0]))


def _may_close(line: Directive, values: Values, defined: Definitions) -> bool:
    """Return whether a Connection line sends a close, or lets clients send one."""
    if any("close" in connection_options([value])[0] for value in values):
        return True
    return any(map(_allows_close, _behind(line.args[1], defined)))


@Rule(
    "NK013",
    Severity.INFO,
    about_reuse=True,
    bad=location(PASS, "proxy_http_version 1.1; proxy_set_header Connection keep-alive;"),
)
def connection_keep_alive_literal(ctx: RuleContext) -> Iterator[Hit]:
    """`Connection: keep-alive` is sent: with HTTP/1.1 that is the default anyway.

    With HTTP/1.0 it is the only way to keep a connection. A Keep-Alive field does nothing: nginx drops the
    client's and ignores the server's.
    """
    for each, line in _connection_lines(ctx):
        if _has_option(line, "keep-alive"):
            effect, fix = "is redundant with HTTP/1.1", f"write `{_EMPTY}`"
            if each.http.effective(ctx.version) == "1.0":
                effect = "is what keeps connections open with HTTP/1.0"
                fix = f"add `proxy_http_version 1.1;` and {fix}"
            yield Hit(line.place, f"`{line}` {effect}", fix, passes=(each,))
    for each in ctx.using_protocol("http"):
        for line in each.connection.lines_of("keep-alive"):
            yield Hit(line.place, f"`{line}` has no effect on the connection", "remove it")


def _connection_lines(ctx: RuleContext) -> Iterator[tuple[PassLocation, Directive]]:
    return ((each, line) for each in ctx.using_protocol("http") for line, _ in each.connection.entries)


def _has_option(line: Directive, option: str) -> bool:
    return option in connection_options([(line.args[1],)])[0]


def _closing_lines(ctx: RuleContext) -> Iterator[tuple[PassLocation, Directive]]:
    """Yield the header lines that send, or may send, a close token."""
    for each in ctx.using_protocol("http"):
        if each.http.effective(ctx.version) == "2":
            continue
        for line, values in each.connection.entries:
            if any("close" in connection_options([value])[0] for value in values):
                yield each, line


def _variables_behind(template: str, defined: Definitions) -> set[str]:
    """Return the variables that a value depends on through `set`, the ones that it names included."""
    found: set[str] = set()
    pending = [template]
    while pending:
        for name, is_name in pieces(pending.pop()):
            if is_name and name not in found:
                found.add(name)
                pending += defined.set_to.get(name, ())
    return found


def _behind(template: str, defined: Definitions) -> set[str]:
    """Return the variables that decide about a value: through `set`, what a map gives, and what it asks for.

    What a map asks for counts where it gives `close` for some of it.
    """
    found: set[str] = set()
    pending = [template]
    while pending:
        for name in _variables_behind(pending.pop(), defined) - found:
            found.add(name)
            block = defined.blocks.get(name)
            if block is not None and block.name == "map":
                results = [e.args[0] for e in block.block or () if e.args and e.name != "include"]
                closes = any("close" in connection_options([(each,)])[0] for each in results)
                pending += (*results, *(block.args[:1] if closes else ()))
    return found


def _map_behind(template: str, defined: Definitions) -> Directive | None:
    """Return the map that a value comes from, directly or through `set`."""
    for name in sorted(_variables_behind(template, defined)):
        block = defined.blocks.get(name)
        if block is not None and block.name == "map":
            return block
    return None


def _allows_close(name: str) -> bool:
    """Return whether clients can close upstream connections through a variable; Upgrade holds no close."""
    return is_clients(name) and name != "http_upgrade"
