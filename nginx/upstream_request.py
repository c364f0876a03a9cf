"""What nginx says to a server in one exchange: the HTTP version and the Connection fields.

Source: ngx_http_proxy_merge_loc_conf() and ngx_http_proxy_headers[] in
src/http/modules/ngx_http_proxy_module.c at release-1.22.1 and release-1.29.7.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from nginx import versions
from nginx.inheritance import Level
from nginx.tree import Directive
from nginx.values import Piece, Unknown, Value, Values
from nginx.variables import Scope
from nginx.versions import Version

CLOSE: Value = ("close",)
_MOST_COMBINATIONS = 256


@dataclass(frozen=True, slots=True)
class HttpVersion:
    """The `proxy_http_version` in force; `missing` is a nearer include that may hold another."""

    directive: Directive | None
    missing: Directive | None

    def known(self, version: Version) -> str:
        """Returns the version that is spoken unless something missing says otherwise.

        A line that this nginx refuses says nothing.
        """
        said = self.directive.args[0] if self.directive is not None and self.directive.args else ""
        if said and (said != "2" or version >= versions.HTTP2_UPSTREAM):
            return said
        return "1.1" if version >= versions.POOL_BY_DEFAULT else "1.0"

    def options(self, version: Version) -> list[str]:
        """Returns the versions that may be spoken: one, if nothing is missing."""
        known = self.known(version)
        return sorted({known, "1.0", "1.1"}) if self.missing else [known]


@dataclass(frozen=True, slots=True)
class ConnectionFields:
    """The Connection entries of the `proxy_set_header` list in force.

    Attributes:
        owner: the level whose list is in force; None if no level has one.
        entries: the list's Connection entries, each with the values that it can take.
        masked: Connection entries of an outer level that the owner's list masks.
        missing: a nearer include that may hold a list of its own.
    """

    owner: Level | None
    entries: tuple[tuple[Directive, Values], ...]
    masked: tuple[Directive, ...]
    missing: Directive | None

    def names(self, field: str) -> bool:
        """Tells whether the header lines in force name a field, given in lower case."""
        lines = self.owner.all("proxy_set_header") if self.owner else ()
        return any(line.args[:1] and line.args[0].lower() == field for line in lines)

    def known(self, version: Version) -> list[tuple[Value, ...]]:
        """Returns each set of fields that may be sent unless something missing says otherwise."""
        if self.entries:
            return _combinations([values for _, values in self.entries])
        return [()] if version >= versions.POOL_BY_DEFAULT else [(CLOSE,)]

    def options(self, version: Version) -> list[tuple[Value, ...]]:
        """Returns each set of fields that may be sent; empty fields are not sent at all."""
        options = self.known(version)
        if self.missing:
            hole = Unknown(self.missing.args[0], f"missing here, included at {self.missing.place}")
            options.append(((hole,),))
        return options

    def is_default(self, version: Version) -> bool:
        """Tells whether nginx's own `Connection: close` is sent unless something missing says otherwise."""
        return not self.entries and version < versions.POOL_BY_DEFAULT


def http_version(level: Level) -> HttpVersion:
    """Returns the `proxy_http_version` in force at a level."""
    missing = None
    for outer in level.up():
        if (found := outer.last("proxy_http_version")) is not None:
            return HttpVersion(found, missing)
        missing = missing or outer.last("include")
    return HttpVersion(None, missing)


def connection_fields(level: Level, scope: Scope) -> ConnectionFields:
    """Returns the Connection fields in force at a level: lists of headers never merge."""
    missing = None
    for outer in level.up():
        headers = outer.all("proxy_set_header")
        if headers:
            entries = tuple((d, scope.values(d.args[1])) for d in headers if names_connection(d))
            if not entries:
                missing = missing or outer.last("include")
            masked = _masked(outer.parent) if not entries else ()
            return ConnectionFields(outer, entries, masked, missing)
        missing = missing or outer.last("include")
    return ConnectionFields(None, (), (), missing)


def names_connection(directive: Directive) -> bool:
    """Tells whether a `proxy_set_header` line is about Connection; names compare without case."""
    return len(directive.args) == 2 and directive.args[0].lower() == "connection"


def tokens(fields: Iterable[Value]) -> tuple[frozenset[str], bool]:
    """Returns the options in some fields (RFC 9110, section 7.6.1), and whether more may be there.

    What the client writes holds no option here: an ordinary request asks for no close.
    """
    found: set[str] = set()
    is_open = False
    for field in fields:
        text = "".join(map(_certain, field))
        is_open = is_open or "\0" in text
        found.update(token.strip().lower() for token in text.split(","))
    return frozenset(token for token in found if token and "\0" not in token), is_open


def _certain(piece: Piece) -> str:
    if isinstance(piece, str):
        return piece
    return "" if piece.is_clients else "\0"


def keeps(http: str, fields: tuple[Value, ...]) -> bool | None:
    """Tells whether a server that follows RFC 9112, section 9.3 keeps the connection; None if unknown."""
    if http == "2":
        return True
    named, is_open = tokens(fields)
    if "close" in named:
        return False
    if is_open:
        return None
    return http != "1.0" or "keep-alive" in named


def _masked(level: Level | None) -> tuple[Directive, ...]:
    for outer in level.up() if level else ():
        headers = outer.all("proxy_set_header")
        if headers:
            return tuple(header for header in headers if names_connection(header))
    return ()


def _combinations(sets: list[Values]) -> list[tuple[Value, ...]]:
    combined: list[tuple[Value, ...]] = []
    for combination in itertools.product(*(sorted(values, key=repr) for values in sets)):
        sent = tuple(value for value in combination if value)
        if sent not in combined:
            combined.append(sent)
        if len(combined) >= _MOST_COMBINATIONS:
            break
    return combined
