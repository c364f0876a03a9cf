"""The fields of HTTP/2 as the head of HTTP/1.1 that says the same, and back. Pure.

What comes out of a request is one that `proxy.http11` reads, and no value of a field can add a line to it.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus

from proxy import forwarding
from proxy.errors import ClientProtocolError
from proxy.http11.grammar import IS_TOKEN, NUMBER, VALUE

Fields = list[tuple[bytes, bytes]]

# RFC 9113, section 8.2.1: names in lower case. Values as in HTTP/1.1 (RFC 9110, section 5.5), which is
# stricter than section 8.2.1, without the white space around them that HTTP/1.1 allows.
_IS_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]++").fullmatch
_IS_VALUE = re.compile(VALUE).fullmatch
# As `proxy.http11.request` reads a target in origin form.
_IS_PATH = re.compile(rb'/[!"$-~]*+').fullmatch

_PSEUDO_FIELDS = frozenset((b":method", b":scheme", b":authority", b":path"))
_SCHEMES = frozenset((b"http", b"https"))
# RFC 9113, section 8.2.2.
_OF_CONNECTION = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)


class MalformedRequest(ClientProtocolError):
    """What RFC 9113, section 8.1.1, has a server end with a reset of the stream (PROTOCOL_ERROR)."""


def request_head(fields: Iterable[tuple[bytes, bytes]], *, has_content: bool) -> bytes:
    """Return the head of HTTP/1.1 that says the same as the fields of a request.

    Args:
        fields: names and values, pseudo-fields included, in the order in which they came.
        has_content: whether the stream goes on after them.

    Raises:
        MalformedRequest: RFC 9113, sections 8.2 and 8.3.
        ClientProtocolError: a well-formed request that the proxy does not forward, with its status.
    """
    pseudo: dict[bytes, bytes] = {}
    lines: list[bytes] = []
    hosts: list[bytes] = []
    lengths: list[bytes] = []
    has_regular = False
    for name, value in fields:
        if name[:1] == b":":
            _check_value(name, value)
            if has_regular or name not in _PSEUDO_FIELDS or name in pseudo:
                raise MalformedRequest(f"the pseudo-field {name!r}: unknown, repeated or after a field")
            pseudo[name] = value
            continue
        has_regular = True
        _check_field(name, value)
        if name == b"host":
            hosts.append(value)
        elif name != b"te":
            # RFC 9110, section 10.1.4: TE is about this hop alone.
            lines.append(b"%b: %b\r\n" % (name, value))
            if name == b"content-length":
                lengths.append(value)
    if _check_length(lengths, has_content=has_content):
        lines.append(b"Transfer-Encoding: chunked\r\n")
    return b"".join((*_first_lines(pseudo, hosts), *lines, b"\r\n"))


def check_trailers(fields: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise MalformedRequest if the fields after a body are malformed; none of them is forwarded."""
    for name, value in fields:
        _check_field(name, value)


def response_fields(lines: bytes, added: bytes = b"") -> Fields:
    """Return the fields of a response from its status line and field lines.

    Args:
        lines: each with its line end; none is about the connection, but for Transfer-Encoding.
        added: more field lines.
    """
    first, *others = (lines + added).split(b"\r\n")[:-1]
    fields: Fields = [(b":status", first[9:12])]
    for line in others:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name != b"transfer-encoding":
            fields.append((name, value.strip(b" \t")))
    return fields


def own_response(status: int, reason: str) -> tuple[Fields, bytes]:
    """Return the fields and the content of a response of the proxy itself."""
    content = forwarding.proxy_content(status, reason)
    fields = {
        ":status": f"{HTTPStatus(status):d}",
        "date": forwarding.http_date(),
        "content-type": forwarding.PROXY_CONTENT_TYPE,
        "content-length": str(len(content)),
    }
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in fields.items()], content


def _first_lines(pseudo: dict[bytes, bytes], hosts: list[bytes]) -> tuple[bytes, bytes]:
    """Return the request line and the Host line (RFC 9113, section 8.3.1)."""
    method, path, scheme = (pseudo.get(each) for each in (b":method", b":path", b":scheme"))
    if method is None or IS_TOKEN(method) is None:
        raise MalformedRequest("no method, or an invalid one")
    if method == b"CONNECT":
        # It has neither path nor scheme (section 8.5).
        raise ClientProtocolError("the method CONNECT", 501)
    if path is None or scheme is None:
        raise MalformedRequest("no path or no scheme")
    if _IS_PATH(path) is None and not (path == b"*" and method == b"OPTIONS"):
        raise MalformedRequest("the path")
    authorities = {value.lower() for value in (*hosts, *filter(None, (pseudo.get(b":authority"),)))}
    if len(authorities) != 1 or len(hosts) > 1:
        raise MalformedRequest("no authority, or two")
    if scheme.lower() not in _SCHEMES:
        raise ClientProtocolError(f"the scheme {scheme!r}")
    host = pseudo.get(b":authority") or hosts[0]
    return b"%b %b HTTP/1.1\r\n" % (method, path), b"Host: %b\r\n" % host


def _check_field(name: bytes, value: bytes) -> None:
    if _IS_NAME(name) is None:
        raise MalformedRequest(f"the field name {name[:40]!r}")
    _check_value(name, value)
    if name in _OF_CONNECTION or (name == b"te" and value.lower() != b"trailers"):
        raise MalformedRequest(f"the field {name!r} is about the connection")


def _check_value(name: bytes, value: bytes) -> None:
    if _IS_VALUE(value) is None or value.strip(b" \t") != value:
        raise MalformedRequest(f"the value of {name[:40]!r}")


def _check_length(lengths: list[bytes], *, has_content: bool) -> bool:
    """Check the values of Content-Length; return whether there is content of unknown length."""
    if not lengths:
        return has_content
    if len(lengths) > 1 or NUMBER.fullmatch(lengths[0]) is None or (int(lengths[0]) and not has_content):
        # RFC 9113, section 8.1.1.
        raise MalformedRequest("Content-Length is not that of the content")
    return False
