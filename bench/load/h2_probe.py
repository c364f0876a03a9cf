"""One request in HTTP/2 to a server that runs already: what answers there, within a few seconds."""

import socket
import ssl
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from bench.load import probe
from bench.load.h2_messages import Fields
from bench.load.probe import Cause, ProbeError, ResponseHead

_RECEIVE_BYTES = 16_384
_LEAVE_OUT = "where it speaks HTTP/1.1 alone, leave out --http2"


def probe_http2(
    address: tuple[str, int], fields: Fields, context: ssl.SSLContext | None, name: str, patience_s: float
) -> ResponseHead:
    """Send the head of a request to `address`, over TLS with `context`, and return what answers.

    `patience_s` is how long the answer may take. ProbeError where nothing answers in HTTP/2.
    """
    began_s = time.monotonic()
    with probe.open_socket(address, context, name) as sock:
        probe.connect(sock, address)
        version = ""
        if isinstance(sock, ssl.SSLSocket):
            probe.shake_hands(sock, address, probe.H2_PREFACE)
            if sock.selected_alpn_protocol() != "h2":
                raise ProbeError(Cause.NO_HTTP, "it does not choose HTTP/2", _LEAVE_OUT)
            version = sock.version() or ""
        try:
            answer = _exchange(sock, fields, began_s + patience_s)
        except TimeoutError as error:
            raise ProbeError(Cause.SILENT, f"within {patience_s:g} s") from error
        except ProbeError as error:
            if context is None and probe.speaks_tls(address):
                raise ProbeError(Cause.SPEAKS_TLS) from error
            raise
    return _head(answer, version, time.monotonic() - began_s)


def _exchange(sock: socket.socket, fields: Fields, deadline_s: float) -> Fields:
    """Return the head of the answer; TimeoutError where it is late, ProbeError where it is none."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    connection.initiate_connection()
    connection.send_headers(1, fields, end_stream=True)
    data = b""
    try:
        while True:
            sock.settimeout(probe.left_s(deadline_s))
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    return [(bytes(name), bytes(value)) for name, value in event.headers]
            sock.sendall(connection.data_to_send())
            if not (data := sock.recv(_RECEIVE_BYTES)):
                raise ProbeError(Cause.CLOSED, remedy=_LEAVE_OUT)
    except h2.exceptions.ProtocolError as error:
        raise ProbeError(Cause.NO_HTTP, "its answer is no HTTP/2", _LEAVE_OUT) from error
    except TimeoutError:
        raise
    except OSError as error:
        raise ProbeError(Cause.CLOSED, remedy=_LEAVE_OUT) from error


def _head(fields: Fields, version: str, after_s: float) -> ResponseHead:
    values = {name: value.decode("latin-1") for name, value in fields}
    return ResponseHead(
        protocol="HTTP/2",
        status=int(values[b":status"]),
        reason="",
        location=values.get(b"location", ""),
        server=values.get(b"server", ""),
        keeps=True,
        tls=version,
        after_s=after_s,
    )
