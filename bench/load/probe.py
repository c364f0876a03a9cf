"""One request to a server that runs already: what answers there, within a few seconds.

What cannot be measured is told apart by its cause: nobody listens, no answer, closed at once, TLS where none
was expected and the other way round, HTTP/2 alone, or no HTTP at all. A status is no failure here.
"""

import errno
import re
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from enum import StrEnum

from bench.load import tls

CONNECT_TIMEOUT_S = 2.0
_DIAGNOSIS_TIMEOUT_S = 1.0
_HEAD_BYTES = 65_536
_RECEIVE_BYTES = 16_384
_STATUS_LINE = re.compile(rb"(HTTP/[0-9](?:\.[0-9])?) ([1-5][0-9][0-9])(?: ([^\r\n]*))?\r?\n")
_FIELD = re.compile(rb"\r?\n([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n]*)")
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""What opens a connection of HTTP/2, then an empty SETTINGS frame (RFC 9113, section 3.4)."""
_H2_SETTINGS = 4
_TRUNCATED_FIELD = 200


class Cause(StrEnum):
    """Why no load can be sent."""

    NOBODY = "nobody listens there"
    UNREACHABLE = "it cannot be reached"
    NO_CONNECT = "no connection came up"
    SILENT = "it accepts connections, but does not answer"
    CLOSED = "it accepts connections, and closes them without an answer"
    SPEAKS_TLS = "it speaks TLS on this port"
    NO_TLS = "it speaks HTTP without TLS on this port"
    TLS_FAILED = "the TLS handshake fails"
    HTTP2_ONLY = "it speaks HTTP/2 only"
    NO_HTTP = "what it answers is no HTTP"


class ProbeError(Exception):
    """No load can be sent: `cause` is why, `detail` what was seen; `remedy` may be empty."""

    def __init__(self, cause: Cause, detail: str = "", remedy: str = "") -> None:
        super().__init__(cause, detail, remedy)
        self.cause, self.detail, self.remedy = cause, detail, remedy

    def __str__(self) -> str:
        return f"{self.cause}{f' ({self.detail})' if self.detail else ''}"


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The head of the response to the one request."""

    protocol: str
    """HTTP/2, HTTP/1.1 or HTTP/1.0."""
    status: int
    reason: str
    location: str
    """Where a redirect leads; empty where the response says nothing of it."""
    server: str
    keeps: bool
    """Whether the connection stays open after the response (RFC 9112, section 9.3)."""
    tls: str
    """The version of TLS; empty without."""
    after_s: float
    """From before the connect to the end of the head."""


def probe(
    address: tuple[str, int], request: bytes, context: ssl.SSLContext | None, name: str, patience_s: float
) -> ResponseHead:
    """Send `request` to `address`, over TLS with `context`, and return what answers.

    `name` is the name that TLS asks for, and `patience_s` how long the answer may take. ProbeError where
    nothing answers that a load could be sent to.
    """
    began_s = time.monotonic()
    with open_socket(address, context, name) as sock:
        connect(sock, address)
        if isinstance(sock, ssl.SSLSocket):
            shake_hands(sock, address, request)
        head, why = _exchange(sock, request, began_s + patience_s)
        version = (sock.version() or "") if isinstance(sock, ssl.SSLSocket) else ""
    after_s = time.monotonic() - began_s
    match = _STATUS_LINE.match(head)
    # What web servers say to HTTP on a port of TLS: 400, and a sentence.
    if match is not None and not (context is None and match[2] == b"400" and speaks_tls(address)):
        return _answer(head, match, version, after_s)
    if context is None and (match is not None or why is not Cause.SILENT) and speaks_tls(address):
        raise ProbeError(Cause.SPEAKS_TLS)
    if _is_settings(head) or (not head and context is None and _speaks_http2(address)):
        raise ProbeError(Cause.HTTP2_ONLY)
    if head:
        raise ProbeError(Cause.NO_HTTP, f"it begins with {head[:24]!r}")
    raise ProbeError(why, f"within {patience_s:g} s" if why is Cause.SILENT else "")


def open_socket(address: tuple[str, int], context: ssl.SSLContext | None, name: str) -> socket.socket:
    """Return a socket that is not connected yet: one of TLS is closed by ssl only from here on."""
    plain = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    plain.settimeout(CONNECT_TIMEOUT_S if name else _DIAGNOSIS_TIMEOUT_S)
    if context is None:
        return plain
    return context.wrap_socket(plain, server_hostname=name or None, do_handshake_on_connect=False)


def connect(sock: socket.socket, address: tuple[str, int]) -> None:
    """Connect; ProbeError where that fails."""
    try:
        sock.connect(address)
    except TimeoutError as error:
        raise ProbeError(Cause.NO_CONNECT, f"within {CONNECT_TIMEOUT_S:g} s") from error
    except ConnectionResetError as error:
        raise ProbeError(Cause.CLOSED) from error
    except OSError as error:
        cause = Cause.NOBODY if error.errno == errno.ECONNREFUSED else Cause.UNREACHABLE
        raise ProbeError(cause, (error.strerror or str(error)).lower()) from error


def shake_hands(sock: ssl.SSLSocket, address: tuple[str, int], request: bytes) -> None:
    """Do the handshake of TLS; ProbeError where it fails, which `request` helps to explain."""
    try:
        sock.do_handshake()
    except OSError as error:
        if not isinstance(error, ssl.SSLCertVerificationError) and _speaks_http(address, request):
            raise ProbeError(Cause.NO_TLS) from error
        failure = tls.explain(error)
        raise ProbeError(Cause.TLS_FAILED, failure.reason, failure.remedy) from error


def _exchange(sock: socket.socket, request: bytes, deadline_s: float) -> tuple[bytes, Cause]:
    """Return what came up to the end of a head, and what it means where that is nothing."""
    received = b""
    try:
        sock.sendall(request)
        while not _is_enough(received):
            sock.settimeout(left_s(deadline_s))
            data = sock.recv(_RECEIVE_BYTES)
            if not data:
                return received, Cause.CLOSED
            received += data
    except TimeoutError:
        return received, Cause.SILENT
    except OSError:
        return received, Cause.CLOSED
    return received, Cause.NO_HTTP


def left_s(deadline_s: float) -> float:
    """Return the time that is left; TimeoutError where none is."""
    left = deadline_s - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _is_enough(data: bytes) -> bool:
    """Return whether `data` holds a whole head, or a first line that begins none."""
    if b"\r\n\r\n" in data or len(data) >= _HEAD_BYTES:
        return True
    return _is_settings(data) or (b"\n" in data and _STATUS_LINE.match(data) is None)


def _is_settings(data: bytes) -> bool:
    """Return whether `data` begins as every connection of HTTP/2 does: with SETTINGS on stream 0."""
    if len(data) < 9:
        return False
    kind, _, stream = struct.unpack_from(">BBI", data, 3)
    return data[0] == 0 and kind == _H2_SETTINGS and stream == 0


def speaks_tls(address: tuple[str, int]) -> bool:
    """Return whether a TLS handshake gets an answer of TLS, be it a refusal."""
    try:
        with open_socket(address, tls.client_context(verify=False), "") as sock:
            sock.connect(address)
            assert isinstance(sock, ssl.SSLSocket)
            sock.do_handshake()
            return True
    except ssl.SSLError as error:
        # Alerts come in TLS; bytes that are no record, and an end without any, do not.
        return "ALERT" in (error.reason or "")
    except OSError:
        return False


def _speaks_http2(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, _DIAGNOSIS_TIMEOUT_S) as sock:
            sock.sendall(H2_PREFACE)
            return _is_settings(sock.recv(_RECEIVE_BYTES))
    except OSError:
        return False


def _speaks_http(address: tuple[str, int], request: bytes) -> bool:
    try:
        with socket.create_connection(address, _DIAGNOSIS_TIMEOUT_S) as sock:
            head, _ = _exchange(sock, request, time.monotonic() + _DIAGNOSIS_TIMEOUT_S)
    except OSError:
        return False
    return _STATUS_LINE.match(head) is not None or _is_settings(head)


def _answer(head: bytes, match: re.Match[bytes], version: str, after_s: float) -> ResponseHead:
    fields: dict[bytes, str] = {}
    for name, value in _FIELD.findall(head.partition(b"\r\n\r\n")[0]):
        fields.setdefault(name.lower(), value.decode("latin-1").strip()[:_TRUNCATED_FIELD])
    protocol, options = match[1].decode(), fields.get(b"connection", "").lower()
    return ResponseHead(
        protocol=protocol,
        status=int(match[2]),
        reason=(match[3] or b"").decode("latin-1").strip(),
        location=fields.get(b"location", ""),
        server=fields.get(b"server", ""),
        keeps="close" not in options if protocol == "HTTP/1.1" else "keep-alive" in options,
        tls=version,
        after_s=after_s,
    )
