"""Find the HTTP version and the Connection fields that nginx sends to a server.

Source: ngx_http_proxy_merge_loc_conf() and ngx_http_proxy_headers[] in
src/http/modules/ngx_http_proxy_module.c at release-1.22.1 and release-1.29.7.
"""

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
    """The `proxy_http_version` in force."""

    directive: Directive | None
    missing: Directive | None
    """A nearer include that may hold another one."""

    @property
    def is_filled_in(self) -> bool:
        """Whether the version is filled in before nginx reads it, as by a template."""
        return self.directive is not None and self.directive.is_filled_in

    def effective(self, version: Version) -> str:
        """Return the version that is used unless a missing include holds another one.

        A line that this nginx refuses does not count.
        """
        is_here = self.directive is not None and self.directive.args and not self.is_filled_in
        written = self.directive.args[0] if self.directive is not None and is_here else ""
        if written and (written != "2" or version >= versions.HTTP2_UPSTREAM):
            return written
        return "1.1" if version >= versions.POOL_BY_DEFAULT else "1.0"

    def possible(self, version: Version) -> list[str]:
        """Return the versions that may be used: one, if nothing is missing."""
        effective = self.effective(version)
        is_known = not self.missing and not self.is_filled_in
        return [effective] if is_known else sorted({effective, "1.0", "1.1"})


@dataclass(frozen=True, slots=True)
class ConnectionFields:
    """The Connection entries of the `proxy_set_header` list in force."""

    owner: Level | None
    """The level whose list is in force; None if no level has one."""
    entries: tuple[tuple[Directive, Values], ...]
    """The list's Connection entries, each with the values that it can have."""
    masked: tuple[Directive, ...]
    """Connection entries of an outer level that the owner's list masks."""
    missing: Directive | None
    """A nearer include that may hold a list of its own."""

    @property
    def header_lines(self) -> list[Directive]:
        """The `proxy_set_header` lines in force."""
        return self.owner.all("proxy_set_header") if self.owner else []

    def lines_of(self, field: str) -> list[Directive]:
        """Return the header lines in force for a field, given in lower case."""
        return [line for line in self.header_lines if line.args and line.args[0].lower() == field]

    def effective(self, version: Version) -> list[tuple[Value, ...]]:
        """Return each set of fields that may be sent unless a missing include holds another list."""
        if self.entries:
            return _combinations([values for _, values in self.entries])
        return [()] if version >= versions.POOL_BY_DEFAULT else [(CLOSE,)]

    def possible(self, version: Version) -> list[tuple[Value, ...]]:
        """Return each set of fields that may be sent; empty fields are not sent at all."""
        possible = self.effective(version)
        if self.missing:
            unknown = Unknown(self.missing.args[0], f"missing here, included at {self.missing.place}")
            possible.append(((unknown,),))
        return possible

    def is_default(self, version: Version) -> bool:
        """Return whether nginx's own `Connection: close` is sent, as far as includes are not missing."""
        return not self.entries and version < versions.POOL_BY_DEFAULT


def http_version(level: Level) -> HttpVersion:
    """Return the `proxy_http_version` in force at a level."""
    owner, missing = _owner(level, "proxy_http_version")
    return HttpVersion(owner.last("proxy_http_version") if owner else None, missing)


def connection_fields(level: Level, scope: Scope) -> ConnectionFields:
    """Return the Connection fields in force at a level: lists of headers never merge."""
    owner, missing = _owner(level, "proxy_set_header")
    lines = _connection_lines(owner)
    if owner is None or lines:
        entries = tuple((line, scope.values(line.args[1])) for line in lines)
        return ConnectionFields(owner, entries, (), missing)
    outer, _ = _owner(owner.parent, "proxy_set_header")
    return ConnectionFields(owner, (), _connection_lines(outer), missing or owner.last("include"))


def _owner(level: Level | None, name: str) -> tuple[Level | None, Directive | None]:
    """Return the nearest level with such directives, and an include before it that may hold others."""
    missing = None
    for outer in level.up() if level else ():
        if outer.all(name):
            return outer, missing
        missing = missing or outer.last("include")
    return None, missing


def _connection_lines(owner: Level | None) -> tuple[Directive, ...]:
    return tuple(filter(names_connection, owner.all("proxy_set_header") if owner else ()))


def names_connection(directive: Directive) -> bool:
    """Return whether a `proxy_set_header` line is about Connection; names compare without case."""
    return len(directive.args) == 2 and directive.args[0].lower() == "connection"


def connection_options(fields: Iterable[Value]) -> tuple[frozenset[str], bool]:
    """Return the options in some fields (RFC 9110, section 7.6.1), and whether more may be there.

    What the client writes holds no option here: an ordinary request has no `close`.
    """
    found: set[str] = set()
    is_open = False
    for field in fields:
        text = "".join(map(_certain_text, field))
        is_open = is_open or "\0" in text
        found.update(token.strip().lower() for token in text.split(","))
    return frozenset(token for token in found if token and "\0" not in token), is_open


def _certain_text(piece: Piece) -> str:
    if isinstance(piece, str):
        return piece
    return "" if piece.is_clients else "\0"


def keeps_open(http: str, fields: tuple[Value, ...]) -> bool | None:
    """Return whether a server that follows RFC 9112, section 9.3 keeps the connection; None if unknown."""
    if http == "2":
        return True
    named, is_open = connection_options(fields)
    if "close" in named:
        return False
    if is_open:
        return None
    return http != "1.0" or "keep-alive" in named


def _combinations(sets: list[Values]) -> list[tuple[Value, ...]]:
    combined: list[tuple[Value, ...]] = []
    for combination in itertools.product(*(sorted(values, key=repr) for values in sets)):
        sent = tuple(value for value in combination if value)
        if sent not in combined:
            combined.append(sent)
        if len(combined) >= _MOST_COMBINATIONS:
            break
    return combined
