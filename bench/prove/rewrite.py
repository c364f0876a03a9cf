"""Rewrite a configuration so that it runs without root and touches nothing of the machine. Pure.

A walk over the parsed tree: what the allowlist names stays, addresses become those of the lab, the rest is
left out; every change is recorded in the change log.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.prove import allowlist, regex_examples
from bench.prove.changes import ChangeLog
from bench.prove.inventory import Chain, Inventory, Location, ServerBlock
from bench.prove.targets import Addresses, nowhere, replace_target, share_upstream, unused_upstream
from bench.subjects.certificates import CHAIN, KEY
from nginx import versions
from nginx.targets import PROTOCOLS
from nginx.tree import Directive, Place
from nginx.versions import Version

PID, ROOT = "nginx.pid", "html"
"""Names in the scratch folder, which nginx finds by its prefix."""
_TEMP_FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
INTERNAL_PATH = "/bench-internal-{number}"
_OWN_PLACE = Place("(bench)", 0)  # of the lines that this run adds
_SPARE_CONNECTIONS = 512
_CONNECTIONS_PER_REQUEST = 4  # a client's, one upstream, and those of a subrequest
_HTTP_CHAIN = (id(None),)
# What belongs to http {} in a snippet without a server {}.
_HTTP_LEVEL = frozenset({"upstream", "map", "geo", "split_clients", "charset_map", "types"})
_MAIN_REASON = "this run has its own user, files, modules and logs"


@dataclass(frozen=True, slots=True)
class Listeners:
    """Where a server block listens, each as HOST:PORT."""

    plain: str
    tls: str
    http2: str | None = None
    """For HTTP/2 by prior knowledge; where it is set, clients over TLS may speak HTTP/2 too."""

    @property
    def addresses(self) -> list[str]:
        """All of them."""
        return [each for each in (self.plain, self.tls, self.http2) if each is not None]


@dataclass(slots=True)
class Rewriter:
    """Rewrites one configuration for one version of nginx."""

    inventory: Inventory
    backends: Mapping[int, Addresses]
    """By the number of the location."""
    listeners: Mapping[int, Listeners]
    """By the number of the server block."""
    user: Sequence[str] = ()
    """The user and group of the workers, where the master is root."""
    version: Version = versions.NEWEST
    in_flight: int = 1
    """Requests that clients have in flight at once."""
    log: ChangeLog = field(default_factory=ChangeLog)
    shared: Mapping[int, int] = field(default_factory=dict)
    """The groups of locations, both by number, that have one upstream {} together."""
    workers: int = 1
    _blocks: list[Directive] = field(default_factory=list)

    def directives(self) -> list[Directive]:
        """Return the whole configuration, ready to be serialized."""
        configuration = self.inventory.model.configuration
        odd = [line for line in configuration.main if allowlist.is_odd(line.name)]
        for line in configuration.main:
            if line.name != "include" and line not in odd:
                why = "only http {} is proven" if line.name in {"stream", "mail"} else _MAIN_REASON
                self.log.record("replaced", line.name, why, line.place)
        inner = list(self._http(configuration.http))
        return [*self._main(), *odd, _block("http", [*self._http_defaults(), *self._blocks, *inner])]

    def _main(self) -> Iterator[Directive]:
        yield _line("daemon", "off")
        if self.user:
            yield _line("user", *self.user)
        yield _line("worker_processes", str(self.workers))
        yield _line("pid", PID)
        yield _line("error_log", "stderr", "error")
        connections = _SPARE_CONNECTIONS + 8 * (len(self.inventory.locations) + len(self.inventory.servers))
        connections += _CONNECTIONS_PER_REQUEST * self.in_flight
        yield _block("events", [_line("worker_connections", str(connections))])

    def _http_defaults(self) -> Iterator[Directive]:
        yield _line("access_log", "off")
        for module in _TEMP_FOLDERS:
            yield _line(f"{module}_temp_path", module)
        yield _line("ssl_certificate", CHAIN)
        yield _line("ssl_certificate_key", KEY)

    # The walk

    def _http(self, directives: Iterable[Directive]) -> Iterator[Directive]:
        if self.inventory.model.configuration.is_fragment and _HTTP_CHAIN in self.inventory.server_of:
            yield from self._snippet(directives)
            return
        for line in directives:
            if line.name == "server" and line.block is not None:
                yield from self._server(line)
            else:
                yield from self._directive(line, _HTTP_CHAIN)

    def _snippet(self, directives: Iterable[Directive]) -> Iterator[Directive]:
        """Yield a server {} around a snippet, and a location {} where it needs one."""
        lines = list(directives)
        yield from (
            new for line in lines if line.name in _HTTP_LEVEL for new in self._directive(line, _HTTP_CHAIN)
        )
        rest = [line for line in lines if line.name not in _HTTP_LEVEL]
        server = self.inventory.server_of[_HTTP_CHAIN]
        inner = [new for line in rest for new in self._directive(line, _HTTP_CHAIN)]
        if any(line.name in PROTOCOLS for line in rest):
            locations = [line for line in inner if line.name in {"location", "server_name"}]
            others = [line for line in inner if line not in locations]
            inner = [*locations, _block("location", others, "/")]
        yield _block("server", [*self._listens(server), *inner, *self._added_locations(server)])

    def _server(self, line: Directive) -> Iterator[Directive]:
        chain = (id(line), *_HTTP_CHAIN)
        server = self.inventory.server_of.get(chain)
        if server is None or server.number not in self.listeners:
            why = "it has no pass directive" if server is None else "there are not enough ports"
            self.log.record("left out", "server", why, line.place)
            yield from _odd_within(line)
            return
        for listen in line.children("listen"):
            self.log.record("replaced", "listen", "addresses of the lab, without and with TLS", listen.place)
        inner = self._inner(line, chain)
        yield replace(line, block=(*self._listens(server), *inner, *self._added_locations(server)))

    def _inner(self, block: Directive, chain: Chain) -> Iterator[Directive]:
        for line in block.block or ():
            yield from self._directive(line, chain)

    def _directive(self, line: Directive, chain: Chain) -> Iterator[Directive]:
        name = line.name
        if name in PROTOCOLS and line.block is None:
            yield self._pass_directive(line, chain)
        elif name in allowlist.BLOCKS and line.block is not None:
            yield replace(line, block=tuple(self._inner(line, (id(line), *chain))))
        elif name in allowlist.DATA and line.block is not None:
            yield replace(line, block=tuple(self._data(line)))
        elif name in {"root", "alias"}:
            self.log.record("replaced", name, "an empty folder", line.place)
            yield replace(line, args=(f"{ROOT}/",))  # also nginx's default
        elif name == "include":
            self.log.record("left out", f"include {line.args[0]}", "the file is not here", line.place)
        elif name == "upstream":
            yield from unused_upstream(line, self.inventory)  # used ones are written for each location
        elif name == "listen":
            return  # these are written with their server
        elif allowlist.is_odd(name) or (name in allowlist.KEPT and line.block is None):
            yield line
        else:
            self.log.record("left out", name, allowlist.why_left_out(name), line.place)

    def _data(self, block: Directive) -> Iterator[Directive]:
        for line in block.block or ():
            if line.name == "include":
                self.log.record(
                    "left out", f"include {' '.join(line.args)}", "the file is not here", line.place
                )
            else:
                yield line

    def _pass_directive(self, line: Directive, chain: Chain) -> Directive:
        location = self.inventory.location_of.get((chain, id(line)))
        if location is None:  # where nginx allows none, and will say so
            return replace(line, args=(nowhere(PROTOCOLS[line.name]),))
        directive, blocks = replace_target(
            location, self.backends.get(location.number, {}), self.log, self.inventory.model
        )
        group = self.shared.get(location.number)
        if group is not None:
            directive, blocks = share_upstream(directive, blocks, location.number, group)
        known = {block.args for block in self._blocks if block.name == "upstream"}
        self._blocks += [block for block in blocks if block.name != "upstream" or block.args not in known]
        return directive

    def _listens(self, server: ServerBlock) -> Iterator[Directive]:
        listeners = self.listeners[server.number]
        # Else one worker may accept all connections.
        spread = ["reuseport"] if self.workers > 1 else []
        yield _line("listen", listeners.plain, *spread)
        if listeners.http2 is None:
            yield _line("listen", listeners.tls, "ssl", *spread)
            return
        has_directive = self.version >= versions.HTTP2_DIRECTIVE
        flags = [] if has_directive else ["http2"]
        yield _line("listen", listeners.tls, "ssl", *flags, *spread)
        yield _line("listen", listeners.http2, *flags, *spread)
        if has_directive:
            yield _line("http2", "on")

    def _added_locations(self, server: ServerBlock) -> Iterator[Directive]:
        """Yield added locations that lead to those that no client may request."""
        for location in self.inventory.locations:
            if location.server is server and (redirect := internal_redirect(location)):
                yield _block("location", [redirect], "=", INTERNAL_PATH.format(number=location.number))


def internal_redirect(location: Location) -> Directive | None:
    """Return the directive that redirects to a named or internal location; None for others."""
    level = location.enclosing_location
    if level is None or level.opener is None or not level.opener.args:
        return None
    args = level.opener.args
    if args[0].startswith("@"):
        return _line("try_files", "/bench-nowhere", args[0])
    if not level.all("internal"):
        return None
    if args[0] not in {"~", "~*"}:
        return _line("rewrite", "^", args[-1], "last")
    found = (text for text in regex_examples.examples(args[-1]) if text.startswith("/"))
    path = next(found, None)
    return None if path is None else _line("rewrite", "^", path, "last")


def _odd_within(block: Directive) -> Iterator[Directive]:
    """Yield what nginx has to judge in a block that is left out: names that are none."""
    for line in block.block or ():
        if allowlist.is_odd(line.name):
            yield line
        elif line.name in allowlist.BLOCKS:
            yield from _odd_within(line)


def _line(name: str, *args: str) -> Directive:
    return Directive(name, args, _OWN_PLACE)


def _block(name: str, inner: Iterable[Directive], *args: str) -> Directive:
    return Directive(name, args, _OWN_PLACE, block=tuple(inner))
