"""Makes somebody's configuration one that runs without root and touches nothing of the machine. Pure.

A walk over the parsed tree: what fates.py lists stays, addresses become those of the lab, the rest is left
out; every change goes into the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.prove import allowlist, regex_examples
from bench.prove.changes import Ledger
from bench.prove.inventory import Chain, Scene, Site, Spot
from bench.prove.targets import Addresses, nowhere, stand_in
from nginx import versions
from nginx.targets import PROTOCOLS
from nginx.tree import Directive, Place
from nginx.versions import Version

PID, ROOT, CERTIFICATE, KEY = "nginx.pid", "html", "certificate.pem", "key.pem"
"""What lies in the scratch folder, beside nginx.conf; nginx finds it by its prefix."""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
ENTRANCE = "/bench-entrance-{number}"
OURS = Place("(bench)", 0)
"""Where lines come from that nobody wrote but this run."""
_SPARE_CONNECTIONS = 512
_TOP = (id(None),)
# Of a snippet without a server {}, what belongs to http {}.
_OF_HTTP = frozenset({"upstream", "map", "geo", "split_clients", "charset_map", "types"})
_MAIN_REASON = "the process is this run's own: its user, files, modules and logs"


@dataclass(frozen=True, slots=True)
class Doors:
    """Where a site listens: HOST:PORT for clients without TLS, and with it.

    `http2` is for clients that speak HTTP/2 by prior knowledge; where there is such a door, those that come
    with TLS may speak it too.
    """

    plain: str
    tls: str
    http2: str | None = None

    @property
    def addresses(self) -> list[str]:
        """All of them."""
        return [each for each in (self.plain, self.tls, self.http2) if each is not None]


@dataclass(slots=True)
class Rewriting:
    """What the walk needs to know, and what it gathers.

    Attributes:
        backends: for each spot (by number) the addresses of each peer that it needs.
        doors: for each site (by number) where it listens.
        user: the user and group that workers run as, where the master is root.
        version: of the nginx that is to run it.
    """

    scene: Scene
    backends: Mapping[int, Addresses]
    doors: Mapping[int, Doors]
    user: Sequence[str] = ()
    version: Version = versions.NEWEST
    ledger: Ledger = field(default_factory=Ledger)
    _blocks: list[Directive] = field(default_factory=list)

    def directives(self) -> list[Directive]:
        """Returns the whole configuration, ready to be written."""
        configuration = self.scene.model.configuration
        for line in configuration.main:
            if line.name not in {"include"}:
                why = "only http {} is proven" if line.name in {"stream", "mail"} else _MAIN_REASON
                self.ledger.replaced(line.name, why, line.place)
        inner = list(self._http(configuration.http))
        return [*self._main(), _block("http", [*self._prelude(), *self._blocks, *inner])]

    # What is ours

    def _main(self) -> Iterator[Directive]:
        yield _line("daemon", "off")
        if self.user:
            yield _line("user", *self.user)
        yield _line("worker_processes", "1")
        yield _line("pid", PID)
        yield _line("error_log", "stderr", "error")
        connections = _SPARE_CONNECTIONS + 8 * (len(self.scene.spots) + len(self.scene.sites))
        yield _block("events", [_line("worker_connections", str(connections))])

    def _prelude(self) -> Iterator[Directive]:
        yield _line("access_log", "off")
        for module in TEMPORARY:
            yield _line(f"{module}_temp_path", module)
        yield _line("ssl_certificate", CERTIFICATE)
        yield _line("ssl_certificate_key", KEY)

    # The walk

    def _http(self, directives: Iterable[Directive]) -> Iterator[Directive]:
        if self.scene.model.configuration.is_fragment and _TOP in self.scene.site_of:
            yield from self._snippet(directives)
            return
        for line in directives:
            if line.name == "server" and line.block is not None:
                yield from self._server(line)
            else:
                yield from self._directive(line, _TOP)

    def _snippet(self, directives: Iterable[Directive]) -> Iterator[Directive]:
        """Yields a snippet for a server {} or a location {} inside those."""
        lines = list(directives)
        yield from (new for line in lines if line.name in _OF_HTTP for new in self._directive(line, _TOP))
        rest = [line for line in lines if line.name not in _OF_HTTP]
        site = self.scene.site_of[_TOP]
        inner = [new for line in rest for new in self._directive(line, _TOP)]
        if any(line.name in PROTOCOLS for line in rest):
            locations = [line for line in inner if line.name in {"location", "server_name"}]
            others = [line for line in inner if line not in locations]
            inner = [*locations, _block("location", others, "/")]
        yield _block("server", [*self._listens(site), *inner, *self._entrances(site)])

    def _server(self, line: Directive) -> Iterator[Directive]:
        chain = (id(line), *_TOP)
        site = self.scene.site_of.get(chain)
        if site is None or site.number not in self.doors:
            why = "it passes nothing on" if site is None else "there are no ports for so many"
            self.ledger.left_out("server", why, line.place)
            return
        for listen in line.children("listen"):
            self.ledger.replaced("listen", "an address of the lab, without and with TLS", listen.place)
        inner = self._inside(line, chain)
        yield replace(line, block=(*self._listens(site), *inner, *self._entrances(site)))

    def _inside(self, block: Directive, chain: Chain) -> Iterator[Directive]:
        for line in block.block or ():
            yield from self._directive(line, chain)

    def _directive(self, line: Directive, chain: Chain) -> Iterator[Directive]:
        name = line.name
        if name in PROTOCOLS and line.block is None:
            yield self._passing(line, chain)
        elif name in allowlist.BLOCKS and line.block is not None:
            yield replace(line, block=tuple(self._inside(line, (id(line), *chain))))
        elif name in allowlist.DATA and line.block is not None:
            yield replace(line, block=tuple(self._data(line)))
        elif name in {"root", "alias"}:
            self.ledger.replaced(name, "an empty folder", line.place)
            yield replace(line, args=(f"{ROOT}/",))  # nginx's default, too
        elif name == "include":
            self.ledger.left_out(f"include {line.args[0]}", "the file is not here", line.place)
        elif name in {"listen", "upstream"}:
            return  # both are written anew
        elif name in allowlist.KEPT and line.block is None:
            yield line
        else:
            self.ledger.left_out(name, allowlist.why_left_out(name), line.place)

    def _data(self, block: Directive) -> Iterator[Directive]:
        for line in block.block or ():
            if line.name == "include":
                self.ledger.left_out(f"include {' '.join(line.args)}", "the file is not here", line.place)
            else:
                yield line

    def _passing(self, line: Directive, chain: Chain) -> Directive:
        spot = self.scene.spot_of.get((chain, id(line)))
        if spot is None:  # where nginx allows none; it will say so
            return replace(line, args=(nowhere(PROTOCOLS[line.name]),))
        found = stand_in(spot, self.backends.get(spot.number, {}), self.ledger)
        self._blocks += found.blocks
        return found.directive

    # Doors and entrances

    def _listens(self, site: Site) -> Iterator[Directive]:
        doors = self.doors[site.number]
        yield _line("listen", doors.plain)
        if doors.http2 is None:
            yield _line("listen", doors.tls, "ssl")
        elif self.version >= versions.HTTP2_DIRECTIVE:
            yield from (_line("listen", doors.tls, "ssl"), _line("listen", doors.http2), _line("http2", "on"))
        else:
            yield from (_line("listen", doors.tls, "ssl", "http2"), _line("listen", doors.http2, "http2"))

    def _entrances(self, site: Site) -> Iterator[Directive]:
        """Yields locations of ours that lead to those that no client may ask for."""
        for spot in self.scene.here(site):
            way = entrance(spot)
            if way is not None:
                path = ENTRANCE.format(number=spot.number)
                yield _block("location", [way], "=", path)


def entrance(spot: Spot) -> Directive | None:
    """Returns the directive that leads to a named or internal location from one that clients may ask for."""
    level = spot.location_level
    if level is None or level.opener is None or not level.opener.args:
        return None
    words = level.opener.args
    if words[0].startswith("@"):
        return _line("try_files", "/bench-nowhere", words[0])
    if not level.all("internal"):
        return None
    if words[0] not in {"~", "~*"}:
        return _line("rewrite", "^", words[-1], "last")
    found = (text for text in regex_examples.examples(words[-1]) if text.startswith("/"))
    path = next(found, None)
    return None if path is None else _line("rewrite", "^", path, "last")


def _line(name: str, *args: str) -> Directive:
    return Directive(name, args, OURS)


def _block(name: str, inner: Iterable[Directive], *args: str) -> Directive:
    return Directive(name, args, OURS, block=tuple(inner))
