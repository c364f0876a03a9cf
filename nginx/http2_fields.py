"""Find the header lines that HTTP/2 forbids and that nginx sends all the same, to a server over HTTP/2.

nginx leaves out no field that `proxy_set_header` or `grpc_set_header` names; a server treats a request with
a connection-specific field as malformed (RFC 9113, section 8.2.2).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nginx.model import PassLocation
from nginx.tree import Directive
from nginx.values import Value
from nginx.versions import Version

_FORBIDDEN = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"})
_TRAILERS: Value = ("trailers",)
"""What TE may hold over HTTP/2."""


@dataclass(frozen=True, slots=True)
class ForbiddenField:
    """A header line of a field that HTTP/2 forbids."""

    directive: Directive
    is_certain: bool
    """Whether it is sent with each ordinary request; else the client decides, or what is not known here."""


def forbidden_fields(each: PassLocation, version: Version) -> Iterator[ForbiddenField]:
    """Yield the header lines in force that no server has to take over HTTP/2."""
    if each.protocol == "grpc":
        name = "grpc_set_header"
    elif each.protocol == "http" and each.http.effective(version) == "2":
        name = "proxy_set_header"
    else:
        return
    owner = next((level for level in each.level.up() if level.all(name)), None)
    for line in owner.all(name) if owner is not None else ():
        if len(line.args) == 2 and line.args[0].lower() in _FORBIDDEN:
            values = each.scope.values(line.args[1])
            refused = [value for value in values if _is_refused(line, value)]
            if refused:
                yield ForbiddenField(line, len(refused) == len(values) and all(map(_is_certain, refused)))


def _is_refused(line: Directive, value: Value) -> bool:
    return bool(value) and not (line.args[0].lower() == "te" and value == _TRAILERS)


def _is_certain(value: Value) -> bool:
    """Return whether a value is never empty: it holds a text."""
    return any(isinstance(piece, str) for piece in value)
