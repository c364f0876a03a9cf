"""Plans the edits that make one location reuse its connections, and nothing else in it different.

Naming an upstream {} for a literal target would change what follows the target: Host, the default
proxy_redirect, the TLS name. Those are said outright; where something else would follow, the location is
refused. Header lists are completed where they stand, so that nothing inherited is masked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nginx import edits
from nginx.edits import Edit
from nginx.exchange import names_connection, tokens
from nginx.levels import Level
from nginx.model import Model, PassLocation
from nginx.rules import Case
from nginx.rules.groups import has_variables_in_host
from nginx.sources import Sources
from nginx.targets import Group, Target
from nginx.tree import Directive
from nginx.upstreams import Upstream
from nginx.values import has_variables, pieces

_SMALLEST_POOL = 32
_DEFAULT_PORTS = {False: "80", True: "443"}
_IDENTITY = ("proxy_ssl_name", "proxy_ssl_server_name", "proxy_ssl_certificate", "proxy_ssl_verify")
_CLOSE_TO_KEEP = 'proxy_set_header Connection "";'


# Limits that let no second request onto a connection, and nginx's defaults for them.
_LIMITS = (
    ("keepalive_requests", frozenset({"0", "1"}), "1000"),
    ("keepalive_timeout", frozenset({"0", "0s", "0ms"}), "60s"),
)
_IS_ADDRESS = re.compile(r"\[.*\]|\d+(?:\.\d+){3}|localhost")
_HOLDS_OTHERS = frozenset({"server", "location", "limit_except"})  # their directives come on their own


class RefusedError(Exception):
    """A location that cannot be repaired without changing something else."""


class Planner:
    """Gathers the edits of one configuration, location by location."""

    def __init__(self, found: Model, known: Sources, cases: Sequence[Case]) -> None:
        self.edits: list[Edit] = []
        self._model = found
        self._known = known
        self._cases = cases
        self._named: dict[tuple[str, ...], str] = {}

    def plan(self, each: PassLocation) -> None:
        """Adds the edits for one location.

        Raises:
            RefusedError: it cannot be repaired without changing something else.
        """
        self._refuse_what_cannot_be(each)
        mark, named = len(self.edits), dict(self._named)
        try:
            lines = self._pool(each)
            if each.protocol == "http":
                self._http_version(each)
                self._header_lines(each, [*lines, *self._connection(each)])
            elif each.protocol == "fastcgi":
                self._keep_conn(each)
        except RefusedError:
            del self.edits[mark:]
            self._named = named
            raise

    def _refuse_what_cannot_be(self, each: PassLocation) -> None:
        configuration = self._model.configuration
        if each.protocol in {"uwsgi", "scgi", "tunnel"}:
            raise RefusedError(f"{each.protocol} connections are never reused")
        if configuration.templates or configuration.problems:
            raise RefusedError(
                "the text is a template, or nginx would refuse it: that has to be repaired first"
            )
        if has_variables(each.target):
            _refuse_variable(each)
        if any(target.group is Group.UNKNOWN for target in each.targets):
            raise RefusedError(f"it depends on {each.targets[0].hangs_on}")
        if each.http.missing or each.connection.missing:
            raise RefusedError("an include that is missing here may decide")

    # The pool

    def _pool(self, each: PassLocation) -> list[str]:
        """Gives the targets a pool; returns the header lines that this makes necessary."""
        lines: list[str] = []
        for target in each.targets:
            if target.upstream is None:
                lines += self._new_upstream(each, target)
            elif not all(target.upstream.pool(case.version) for case in self._cases):
                self._existing_upstream(target.upstream)
        return lines

    def _existing_upstream(self, upstream: Upstream) -> None:
        line = upstream.keepalive
        balancer = upstream.balancer_after_keepalive()
        if line is None:
            for added in (f"keepalive {self._size(len(upstream.servers))};", *self._idle_limit()):
                self.edits.append(
                    edits.line_at_end(self._text(upstream.directive), upstream.directive, added)
                )
            return
        if line.args[:1] == ("0",):
            self.edits.append(
                edits.argument_replaced(self._text(line), line, 0, str(self._size(len(upstream.servers))))
            )
        if balancer is not None:
            self.edits.append(edits.removed(self._text(line), line))
            self.edits.append(edits.line_after(self._text(balancer), balancer, f"{line};"))
        for name, refusing, value in _LIMITS:
            limit = upstream.directive.child(name)
            if limit is not None and limit.args[0] in refusing:
                self.edits.append(edits.argument_replaced(self._text(limit), limit, 0, value))

    def _size(self, servers: int) -> int:
        """Returns a pool's size by the sizing rules: twice the servers, and what is in flight per worker."""
        per_worker = -(-(self._cases[0].settings.concurrency or 0) // (self._cases[0].workers or 1))
        return max(_SMALLEST_POOL, 2 * servers, per_worker)

    def _idle_limit(self) -> list[str]:
        """Returns the line that lets nginx close an idle connection before its server does."""
        idle_s = self._cases[0].settings.backend_idle_s
        return [] if idle_s is None or idle_s > 60 else [f"keepalive_timeout {max(1, int(idle_s) - 1)}s;"]

    def _new_upstream(self, each: PassLocation, target: Target) -> list[str]:
        """Names an upstream {} for a literal target; returns the header line that keeps Host."""
        server = each.level.enclosing("server")
        if server is None or server.opener is None:
            raise RefusedError(
                "an upstream {} belongs into http {}, and here is no server {} to put it before"
            )
        if each.protocol == "grpc":
            raise RefusedError("naming an upstream {} would change :authority")
        self._refuse_followers(each)
        address = _server_address(target)
        key = (address, each.protocol, str(target.is_tls), *(str(each.setting(name)) for name in _IDENTITY))
        if key not in self._named:
            self._named[key] = self._unused_name(target)
            size = self._size(1)
            block = [
                f"upstream {self._named[key]} {{",
                f"    server {address};",
                f"    keepalive {size};",
                *(f"    {line}" for line in self._idle_limit()),
                "}",
                "",
            ]
            self.edits.append(edits.lines_before(self._text(server.opener), server.opener, block))
        replaced = _with_authority(each.target, target, self._named[key])
        self.edits.append(edits.argument_replaced(self._text(each.directive), each.directive, 0, replaced))
        return self._kept(each, target) if each.protocol == "http" else []

    def _refuse_followers(self, each: PassLocation) -> None:
        """Refuses a location in which something that cannot be said outright follows the target."""
        twice = [other for other in self._model.passes if other.directive.place == each.directive.place]
        if len(twice) > 1:
            raise RefusedError("its file is included in several places, which differ in what keeps redirects")
        sharing = [other for other in self._model.passes if other is not each and _inherits(other, each)]
        if sharing:
            raise RefusedError(
                f"what keeps its Host and redirects would also hold for {sharing[0].context} "
                f"({sharing[0].directive.place}), which inherits from it"
            )
        texts = [self._known.text(file) or "" for file in self._model.configuration.files]
        if any(re.search(r"\$\{?proxy_(?:host|port)\b", text) for text in texts):
            raise RefusedError("$proxy_host or $proxy_port is used here and would become the upstream's name")
        cache = each.setting("proxy_cache")
        if cache is not None and cache.args != ("off",) and each.setting("proxy_cache_key") is None:
            raise RefusedError("the default proxy_cache_key holds the target: give it one of its own first")

    def _kept(self, each: PassLocation, target: Target) -> list[str]:
        """Keeps redirects and the TLS name as they were; returns the header line that keeps Host."""
        self._keep_redirects(each, target)
        if target.is_tls and not target.is_unix and each.setting("proxy_ssl_name") is None:
            self._add(each, f"proxy_ssl_name {target.host};")
        owner = each.connection.owner
        headers = owner.all("proxy_set_header") if owner else []
        has_host = any(header.args[0].lower() == "host" for header in headers)
        return [] if has_host else [f"proxy_set_header Host {_host_field(target)};"]

    def _keep_redirects(self, each: PassLocation, target: Target) -> None:
        """Says the default proxy_redirect outright: it rewrites Location fields that name the target."""
        owner = next((level for level in each.level.up() if level.all("proxy_redirect")), None)
        lines = owner.all("proxy_redirect") if owner else []
        by_default = [line for line in lines if line.args == ("default",)]
        if target.is_unix or has_variables(each.target) or (lines and not by_default):
            return  # nothing is rewritten by default
        location = each.level.enclosing("location")
        prefix = location.opener.args[-1] if location and location.opener and location.opener.args else "/"
        has_uri = bool(each.target.partition(target.authority)[2])
        said = f"proxy_redirect {each.target} {prefix};" if has_uri else f"proxy_redirect {each.target}/ /;"
        if by_default:
            # nginx takes `default` only behind the proxy_pass that it is about, so it stands beside it.
            for line in by_default:
                self.edits.append(Edit(line.place.file, line.start, line.end, said))
        else:
            self._add(each, said)

    def _unused_name(self, target: Target) -> str:
        plain = re.sub(r"\W+", "_", _server_address(target).removeprefix("unix:")).strip("_").lower()
        taken = {*self._model.names.upstreams, *self._named.values()}
        wanted, number = f"backend_{plain}", 2
        name = wanted
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        return name

    # What is said

    def _http_version(self, each: PassLocation) -> None:
        if all(each.http.known(case.version) != "1.0" for case in self._cases):
            return
        line = each.http.directive
        if line is not None and line in each.level.block:
            self.edits.append(edits.argument_replaced(self._text(line), line, 0, "1.1"))
        else:
            self._add(each, "proxy_http_version 1.1;")

    def _connection(self, each: PassLocation) -> list[str]:
        """Takes close out of the Connection lines in force; returns the line that has to be added."""
        if not each.connection.entries:
            closes = any(each.connection.is_default(case.version) for case in self._cases)
            return [_CLOSE_TO_KEEP] if closes else []
        for line, values in each.connection.entries:
            if any("close" in tokens([value])[0] for value in values):
                self._open(line)
        return []

    def _open(self, line: Directive) -> None:
        """Takes close out of a Connection line where it stands: in the line itself, or in its map."""
        if not has_variables(line.args[1]):
            self.edits.append(edits.argument_replaced(self._text(line), line, 1, '""'))
            return
        block = self._model.variables.blocks.get(line.args[1].strip("${}"))
        if block is None or block.args[:1] != ("$http_upgrade",):
            raise RefusedError(f"`{line}` ({line.place}) has its close from elsewhere: repair its value")
        elsewhere = self._other_use(line.args[1].strip("${}"))
        if elsewhere is not None:
            raise RefusedError(f"{line.args[1]} is also used by `{elsewhere}` ({elsewhere.place})")
        entry = next((each for each in block.block or () if each.name == ""), None)
        if entry is None:
            self.edits.append(edits.line_at_end(self._text(block), block, "'' '';"))
        else:
            self.edits.append(edits.argument_replaced(self._text(entry), entry, 0, "''"))

    def _other_use(self, name: str) -> Directive | None:
        """Returns a directive other than a Connection line in which a map's variable stands."""
        own = self._model.variables.blocks[name]
        for level in self._model.levels:
            for directive in level.block:
                words = (*directive.args, *(arg for entry in directive.block or () for arg in entry.args))
                is_ours = directive is own or (
                    directive.name == "proxy_set_header" and names_connection(directive)
                )
                if not is_ours and directive.name not in _HOLDS_OTHERS and _names(words, name):
                    return directive
        return None

    def _header_lines(self, each: PassLocation, lines: list[str]) -> None:
        """Adds lines to the header list in force without masking what was inherited."""
        owner = each.connection.owner
        if not lines:
            return
        own: list[Directive] = []
        inherited: list[str] = []
        if owner is None or owner is _location(each):
            own = owner.all("proxy_set_header") if owner else []
        elif lines == [_CLOSE_TO_KEEP] and self._all_are_broken(owner):
            last = owner.all("proxy_set_header")[-1]
            self.edits.append(edits.line_after(self._text(last), last, _CLOSE_TO_KEEP))
            return
        else:
            inherited = [self._raw(header) for header in owner.all("proxy_set_header")]
        # Behind the list that is there, so that the fields keep their order.
        beside = own[-1] if own and own[-1].place.file == each.directive.place.file else None
        for line in (*inherited, *lines):
            self._add(each, line, beside)

    def _all_are_broken(self, owner: Level) -> bool:
        """Tells whether every location with a list needs it repaired, so that the list itself can be."""
        sharing = [each for each in self._model.passes if each.connection.owner is owner]
        return all(case.verdict(each).answer != "reused" for each in sharing for case in self._cases[:1])

    def _keep_conn(self, each: PassLocation) -> None:
        line = each.keep_conn
        if line is None or line not in each.level.block:
            if line is None or line.args != ("on",):
                self._add(each, "fastcgi_keep_conn on;")
        elif line.args != ("on",):
            self.edits.append(edits.argument_replaced(self._text(line), line, 0, "on"))

    # Text

    def _add(self, each: PassLocation, line: str, beside: Directive | None = None) -> None:
        """Adds a line behind the pass directive, or behind another one of its location.

        `if` and limit_except take none, so there it goes before them.
        """
        opener = each.level.opener
        if each.level.kind in {"if", "limit_except"} and opener is not None:
            self.edits.append(edits.lines_before(self._text(opener), opener, [line]))
        else:
            place = beside or each.directive
            self.edits.append(edits.line_after(self._text(place), place, line))

    def _text(self, directive: Directive) -> str:
        file = directive.place.file
        text = self._known.text(file)
        if text is None:
            raise RefusedError(f"{file} is no file that could be written")
        return text

    def _raw(self, directive: Directive) -> str:
        return self._text(directive)[directive.start : directive.end]


def _location(each: PassLocation) -> Level | None:
    return each.level.enclosing("location") or each.level


def _refuse_variable(each: PassLocation) -> None:
    """Refuses a target whose host is a variable, or a name that variables let nginx resolve at run time."""
    outside = [target for target in each.targets if target.group is not Group.UPSTREAM]
    if outside and has_variables_in_host(each):
        raise RefusedError(f"the target {each.target} is a variable: pass to an upstream {{}} by its name")
    if any(target.group is Group.ADDRESS and not _IS_ADDRESS.fullmatch(target.host) for target in outside):
        raise RefusedError(
            f"{outside[0].host} is resolved for each request, an upstream {{}} would do it at the start"
        )


def _inherits(other: PassLocation, each: PassLocation) -> bool:
    """Tells whether a pass inherits what is written in the location of another one."""
    location = _location(each)
    return location is not None and location in other.level.up()


def _names(words: Sequence[str], name: str) -> bool:
    return any(is_name and piece == name for word in words for piece, is_name in pieces(word))


def _server_address(target: Target) -> str:
    """Returns what `server` takes; an upstream's default port is 80, also for TLS."""
    if target.is_unix:
        return "unix:" + target.authority.removeprefix("unix:").partition(":")[0]
    return target.authority if target.has_port or not target.is_tls else f"{target.host}:443"


def _with_authority(text: str, target: Target, name: str) -> str:
    if not target.is_unix:
        return text.replace(target.authority, name, 1)
    scheme, separator, rest = text.partition("://")
    uri = (rest if separator else text).removeprefix("unix:").partition(":")[2]
    return f"{scheme}://{name}{uri}" if separator else name


def _host_field(target: Target) -> str:
    """Returns the Host that nginx sends for a literal target (ngx_http_proxy_set_vars())."""
    if target.is_unix:
        return "localhost"
    default = f":{_DEFAULT_PORTS[bool(target.is_tls)]}"
    return target.authority.removesuffix(default) if target.has_port else target.host
